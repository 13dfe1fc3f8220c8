/*
 * Powers of two, rounded at random so that the mean is right: Horvath et al., "Natural
 * compression", 2019. A byte is a sign and 7 bits of the exponent, counted from a lowest one that
 * is sent, too: 2^-126 of the largest power; 0 is zero. What is between 0 and the lowest
 * becomes one of both.
 */
#include "runtime/compress/compress.h"

#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/compress/codes.h"

enum { HEADER = 1, CODE_BITS = 8, SIGN = 128, CODE_MOST = 127, LOW_MOST = 128 };
enum { BIAS = 127, EXPONENT_MOST = 254 };

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return count ? HEADER + count : 0;
}

/* The exponent, biased, of code 1. The largest |x| may become the next power of two, unless that
 * is more than floats hold. */
static unsigned lowest_of(const struct compress_input *input)
{
	float largest = codes_largest(input->x, input->count);
	uint32_t bits, most;

	memcpy(&bits, &largest, sizeof(bits));
	most = (bits >> 23) + 1;
	most = most < EXPONENT_MOST ? most : EXPONENT_MOST;
	return most >= CODE_MOST ? most - CODE_MOST + 1 : 1;
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	struct codes_plan plan = { .kernel = kernels()->code_powers,
				   .rng = &input->rng,
				   .first = input->first };
	unsigned low;

	if (input->count == 0)
		return 0;
	low = lowest_of(input);
	out[0] = (unsigned char)low;
	plan.rule = (struct code_rule){
		.low = low, .inverse = ldexpf(1, BIAS - (int)low), .most = CODE_MOST, .sign = SIGN
	};
	codes_encode(&plan, input->x, input->count, CODE_BITS, out + HEADER);
	return bound(params, input->count);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	float table[1 << CODE_BITS] = { 0 };

	if (codes_check_length(length, bound(params, count), err) < 0)
		return -1;
	if (count == 0)
		return 0;
	if (bytes[0] < 1 || bytes[0] > LOW_MOST)
		return error_set(err, "a payload with the exponent %d", bytes[0]);
	for (int code = 1; code <= CODE_MOST; code++) {
		table[code] = scale * ldexpf(1, bytes[0] + code - 1 - BIAS);
		table[code + SIGN] = -table[code];
	}
	codes_add(bytes + HEADER, count, CODE_BITS, table, y);
	return 0;
}

/* The larger distance to the powers of two on both sides, which is at most |x|; below the lowest:
 * to that one. */
static double largest_error(const void *params, const struct compress_input *input)
{
	double sum = 0, lowest;

	(void)params;
	if (input->count == 0)
		return 0;
	lowest = ldexp(1, (int)lowest_of(input) - BIAS);
	for (size_t i = 0; i < input->count; i++) {
		double size = fabs((double)input->x[i]), most = fmax(size, lowest);

		sum += size > 0 ? most * most : 0;
	}
	return sqrt(sum);
}

const struct compressor compress_natural = {
	.entry = { .name = "natural", .summary = "powers of two, rounded at random: 8 bits" },
	.payload = PAYLOAD_OPAQUE,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
