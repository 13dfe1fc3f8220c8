/* One bit an element, its sign, and two means: of what is below zero and of the rest. Seide et al.,
 * "1-bit stochastic gradient descent", Interspeech 2014. */
#include "runtime/compress/compress.h"

#include <math.h>

#include "lib/error.h"
#include "runtime/compress/bits.h"
#include "runtime/compress/codes.h"

enum { SCALES = 8 /* bytes */ };

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return count ? SCALES + bits_size(count, 1) : 0;
}

struct means {
	float above, below; /* sizes: neither is negative */
};

static struct means means_of(const struct compress_input *input)
{
	struct code_measure measure;
	struct means means = { 0 };

	kernels()->code_measure(input->x, input->count, &measure);
	if (measure.negative < input->count)
		means.above = (float)(measure.above / (double)(input->count - measure.negative));
	if (measure.negative > 0)
		means.below = (float)(-measure.below / (double)measure.negative);
	return means;
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	struct codes_plan plan = { .kernel = kernels()->code_signs };
	struct means means;

	if (input->count == 0)
		return 0;
	means = means_of(input);
	codes_put_scale(out, means.above);
	codes_put_scale(out + SCALES / 2, means.below);
	codes_encode(&plan, input->x, input->count, 1, out + SCALES);
	return bound(params, input->count);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	float above, below, table[2];

	if (codes_check_length(length, bound(params, count), err) < 0)
		return -1;
	if (count == 0)
		return 0;
	above = codes_get_scale(bytes);
	below = codes_get_scale(bytes + SCALES / 2);
	if (codes_check_scale(above, err) < 0 || codes_check_scale(below, err) < 0 ||
	    codes_check_end(bytes + SCALES, count, 1, err) < 0)
		return -1;
	table[0] = scale * above;
	table[1] = -(scale * below);
	codes_add(bytes + SCALES, count, 1, table, y);
	return 0;
}

/* As it is, and what rounding of the means adds. */
static double largest_error(const void *params, const struct compress_input *input)
{
	struct means means = { 0 };
	double sum = 0;

	(void)params;
	if (input->count > 0)
		means = means_of(input);
	for (size_t i = 0; i < input->count; i++) {
		double x = (double)input->x[i];
		double off = x < 0 ? x + (double)means.below : x - (double)means.above;

		off = fabs(off) + 0x1p-23 * fabs(x);
		sum += off * off;
	}
	return sqrt(sum);
}

const struct compressor compress_onebit = {
	.entry = { .name = "onebit",
		   .summary = "signs, times the mean of those with the same one: 1 bit" },
	.payload = PAYLOAD_OPAQUE,
	/* No feedback: what large coordinates have to wait for makes the mean grow, and with
	 * momentum that has no end (Fashion-MNIST: 10 % instead of 88). */
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
