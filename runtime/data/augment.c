/* Small random changes to training images, so that no epoch shows them quite as the last one did.
 */
#include "runtime/data/augment.h"

#include <string.h>

#include "lib/error.h"
#include "runtime/model/batch.h"
#include "runtime/rng.h"

/* Where pixels come from: the row and column of the one in the corner, within the padded image. */
struct window {
	size_t row, column;
	bool flip;
};

bool augment_wanted(const struct augment_params *params)
{
	return params->crop || params->flip;
}

int augment_check(const struct augment_params *params, const struct shape *shape, struct error *err)
{
	if (!augment_wanted(params) || shape->rank == 3)
		return 0;
	return error_set(err,
			 "data.augment is for images, but a sample of these data has %zu "
			 "dimension%s",
			 shape->rank, shape->rank == 1 ? "" : "s");
}

static void fill(float *out, size_t count, float value)
{
	for (size_t i = 0; i < count; i++)
		out[i] = value;
}

static size_t clamp(ptrdiff_t at, size_t most)
{
	return at < 0 ? 0 : (size_t)at < most ? (size_t)at : most;
}

/* Columns [from, to) of the window lie within the image; the rest of the row is `around`. */
static void cut_row(const float *row, size_t columns, size_t crop, struct window window,
		    float around, float *out)
{
	ptrdiff_t shift = (ptrdiff_t)window.column - (ptrdiff_t)crop;
	size_t from = clamp(-shift, columns), to = clamp((ptrdiff_t)columns - shift, columns);

	row += to > from ? (ptrdiff_t)from + shift : 0;
	if (!window.flip) {
		fill(out, from, around);
		memcpy(out + from, row, (to - from) * sizeof(*out));
		fill(out + to, columns - to, around);
		return;
	}
	fill(out, columns - to, around);
	out += columns - to;
	for (size_t i = 0; i < to - from; i++)
		out[i] = row[to - from - 1 - i];
	fill(out + to - from, from, around);
}

void augment(const struct augment_params *params, const struct rng *rng, const struct shape *shape,
	     const float *around, const float *image, float *out)
{
	size_t rows = shape->dim[1], columns = shape->dim[2], crop = params->crop;
	struct window window = { .row = rng_below(rng, 0, 2 * crop + 1),
				 .column = rng_below(rng, 1, 2 * crop + 1),
				 .flip = params->flip && rng_below(rng, 2, 2) };

	for (size_t c = 0; c < shape->dim[0]; c++) {
		const float *plane = image + c * rows * columns;
		float black = around ? around[c] : 0;

		for (size_t r = 0; r < rows; r++, out += columns) {
			size_t from = r + window.row; /* within the padded image */

			if (from >= crop && from < rows + crop)
				cut_row(plane + (from - crop) * columns, columns, crop, window,
					black, out);
			else
				fill(out, columns, black);
		}
	}
}
