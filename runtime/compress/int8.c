/*
 * A byte an element: the nearest of 256 values that are evenly spread between the least and the
 * greatest of a block. A block is its least value, the step between two, and its bytes.
 */
#include "runtime/compress/compress.h"

#include <math.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/compress/codes.h"

enum { HEADER = 8, STEPS = 255 };

struct int8_params {
	size_t block;
};

static const struct opt options[] = { { "block", OPT_COUNT, offsetof(struct int8_params, block),
					"256", "elements that share a range", .min = 1,
					.max = 1 << 30 },
				      { 0 } };

static size_t block_of(const void *params)
{
	return ((const struct int8_params *)params)->block;
}

static size_t bound(const void *params, size_t count)
{
	size_t block = block_of(params);

	return count + (count + block - 1) / block * HEADER;
}

struct range {
	float low, step;
};

/* Halves, as a difference of floats may be too large for one. What is so near together that 1/step
 * would be too large counts as one value. */
static struct range range_of(const float *x, size_t count)
{
	struct range range;
	float high;

	kernels()->range(x, count, &range.low, &high);
	range.step = 2 * ((high / 2 - range.low / 2) / STEPS);
	if (range.step < 0x1p-120f)
		range.step = 0;
	return range;
}

static size_t less(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	size_t block = block_of(params);

	for (size_t at = 0; at < input->count; at += block) {
		const float *x = input->x + at;
		size_t count = less(input->count - at, block);
		struct range range = range_of(x, count);

		codes_put_scale(out, range.low);
		codes_put_scale(out + HEADER / 2, range.step);
		kernels()->range_pack(out + HEADER, x, count, range.low,
				      range.step > 0 ? 1 / range.step : 0);
		out += HEADER + count;
	}
	return bound(params, input->count);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	size_t block = block_of(params);

	if (codes_check_length(length, bound(params, count), err) < 0)
		return -1;
	for (size_t at = 0; at < count; at += block) {
		size_t some = less(count - at, block);
		float low = codes_get_scale(bytes), step = codes_get_scale(bytes + HEADER / 2);

		if (codes_check_scale(fabsf(low), err) < 0 || codes_check_scale(step, err) < 0)
			return -1;
		kernels()->range_add(y + at, bytes + HEADER, some, scale * low, scale * step);
		bytes += HEADER + some;
	}
	return 0;
}

/* Half a step, or what counted as none; sums of products are rounded, too. */
static double largest_error(const void *params, const struct compress_input *input)
{
	size_t block = block_of(params);
	double sum = 0;

	for (size_t at = 0; at < input->count; at += block) {
		size_t count = less(input->count - at, block);
		struct range range = range_of(input->x + at, count);
		double high = fabs((double)range.low) + STEPS * (double)range.step;
		double most = (double)range.step / 2 + 0x1p-21 * high;

		most += range.step > 0 ? 0 : STEPS * 0x1p-120;
		sum += (double)count * most * most;
	}
	return sqrt(sum);
}

const struct compressor compress_int8 = {
	.entry = { .name = "int8",
		   .summary = "the nearest of 256 values between the ends of a block: 8 bits",
		   .options = options,
		   .params_size = sizeof(struct int8_params) },
	.payload = PAYLOAD_OPAQUE,
	.feedback = FEEDBACK_CLASSIC,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
