/* One bit an element, its sign, and the mean of |x|: scaled signSGD (Karimireddy et al., "Error
 * feedback fixes SignSGD", ICML 2019). */
#include "runtime/compress/compress.h"

#include <math.h>

#include "lib/error.h"
#include "runtime/compress/bits.h"
#include "runtime/compress/codes.h"
#include "runtime/compress/votes.h"

enum { SCALE = 4 /* bytes */ };

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return count ? SCALE + bits_size(count, 1) : 0;
}

static float mean_size(const struct compress_input *input)
{
	struct code_measure measure;

	kernels()->code_measure(input->x, input->count, &measure);
	return (float)((measure.above - measure.below) / (double)input->count);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	struct codes_plan plan = { .kernel = kernels()->code_signs };

	if (input->count == 0)
		return 0;
	codes_put_scale(out, mean_size(input));
	codes_encode(&plan, input->x, input->count, 1, out + SCALE);
	return bound(params, input->count);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	float mean;

	if (codes_check_length(length, bound(params, count), err) < 0)
		return -1;
	if (count == 0)
		return 0;
	mean = codes_get_scale(bytes);
	if (codes_check_scale(mean, err) < 0)
		return -1;
	return votes_add(bytes + SCALE, mean, scale, y, count, err);
}

/* What is left of |x| is as far from its mean as it is: the mean's square goes away. */
static double largest_error(const void *params, const struct compress_input *input)
{
	double mean, sum = 0;

	(void)params;
	if (input->count == 0)
		return 0;
	mean = (double)mean_size(input);
	for (size_t i = 0; i < input->count; i++) {
		double off = fabs((double)input->x[i]) - mean;

		sum += off * off;
	}
	return sqrt(sum) + 0x1p-23 * mean * sqrt((double)input->count);
}

const struct compressor compress_sign = {
	.entry = { .name = "sign", .summary = "signs, times the mean size: 1 bit" },
	.payload = PAYLOAD_OPAQUE,
	/* No feedback: what large coordinates have to wait for makes the mean grow, and with
	 * momentum that has no end (Fashion-MNIST: 10 % instead of 88). */
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
