/* What the bytes of images stand for: value = byte * scale + shift, by channel. */
#include "runtime/data/channel.h"

#include <math.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "runtime/data/data.h"
#include "runtime/device/kernels.h"

struct moments {
	uint64_t sum, squares; /* exact, whatever the order */
};

static struct moments *measure(const struct dataset *dataset, size_t channels, size_t plane)
{
	struct moments *moments = xcalloc(channels, sizeof(*moments));

	for (size_t i = 0; i < dataset->count; i++) {
		const uint8_t *bytes = dataset_sample(dataset, i);

		for (size_t c = 0; c < channels; c++)
			kernels()->sum_bytes(bytes + c * plane, plane, &moments[c].sum,
					     &moments[c].squares);
	}
	return moments;
}

static void standardise(const struct dataset *train, struct dataset *out, size_t channels)
{
	size_t plane = shape_count(&out->shape) / channels;
	double count = (double)(train->count * plane);
	struct moments *moments = measure(train, channels, plane);

	for (size_t c = 0; c < channels; c++) {
		double mean = (double)moments[c].sum / count;
		double variance = (double)moments[c].squares / count - mean * mean;
		double deviation = variance > 1e-9 ? sqrt(variance) : 1; /* else all are the same */

		out->scale[c] = (float)(1 / deviation);
		out->shift[c] = (float)(-mean / deviation);
	}
	free(moments);
}

void channels_set(const struct channel_params *params, const struct dataset *train,
		  struct dataset *out)
{
	size_t channels = out->shape.dim[0];

	out->scale = xcalloc(channels, sizeof(*out->scale));
	out->shift = xcalloc(channels, sizeof(*out->shift));
	if (params->standardise) {
		standardise(train, out, channels);
		return;
	}
	for (size_t c = 0; c < channels; c++) {
		out->scale[c] = (float)params->scale;
		out->shift[c] = (float)params->shift;
	}
}
