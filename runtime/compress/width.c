/* Codes of as many bits as the state says, and how many these are. */
#include "runtime/compress/width.h"

#include <float.h>
#include <math.h>

#include "lib/error.h"
#include "runtime/compress/bits.h"
#include "runtime/compress/codes.h"
#include "runtime/compress/compress.h"
#include "runtime/compress/levels.h"
#include "runtime/device/kernels.h"

enum { SCALE = 4, HEADER = 1 + SCALE };

const char *const width_norms[] = { "inf", "2", NULL };

float width_clip(double bits)
{
	return (float)fmin(fmax(nearbyint(bits), WIDTH_LEAST), WIDTH_MOST);
}

static unsigned width_of(const struct compress_input *input)
{
	return input->state ? (unsigned)width_clip((double)input->state[0]) : WIDTH_MOST;
}

/* At least the largest |x|, and finite, whatever is rounded. */
static float norm_of(const struct width_params *params, const struct compress_input *input)
{
	float largest = codes_largest(input->x, input->count);
	double norm = 0;

	if (params->norm == WIDTH_EUCLIDEAN)
		norm = fmin(sqrt(kernels()->sum_squares(input->x, input->count)), (double)FLT_MAX);
	return fmaxf((float)norm, largest);
}

static size_t length_of(size_t count, unsigned width)
{
	return HEADER + bits_size(count, width);
}

size_t width_bound(const void *params, size_t count)
{
	(void)params;
	return length_of(count, WIDTH_MOST);
}

size_t width_encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	unsigned width = width_of(input);
	float norm = norm_of(params, input);
	struct codes_plan plan = { .kernel = kernels()->code_levels,
				   .rule = levels_rule(norm, levels_of(width),
						       UINT32_C(1) << (width - 1)),
				   .rng = &input->rng,
				   .first = input->first };

	out[0] = (unsigned char)width;
	codes_put_scale(out + 1, norm);
	codes_encode(&plan, input->x, input->count, width, out + HEADER);
	return length_of(input->count, width);
}

int width_decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		     float *y, size_t count, struct error *err)
{
	float table[1 << WIDTH_MOST], norm;
	unsigned width;

	(void)params;
	if (length < HEADER || bytes[0] < WIDTH_LEAST || bytes[0] > WIDTH_MOST)
		return error_set(err, "a payload of %zu bytes with a damaged header", length);
	width = bytes[0];
	norm = codes_get_scale(bytes + 1);
	if (codes_check_length(length, length_of(count, width), err) < 0 ||
	    codes_check_scale(norm, err) < 0 ||
	    codes_check_end(bytes + HEADER, count, width, err) < 0)
		return -1;
	levels_table(table, width, norm, scale);
	codes_add(bytes + HEADER, count, width, table, y);
	return 0;
}

/* A level each. */
double width_error(const void *params, const struct compress_input *input)
{
	double most = levels_error(norm_of(params, input), levels_of(width_of(input)));

	return sqrt((double)input->count) * most;
}
