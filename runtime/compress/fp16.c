/*
 * IEEE half precision, rounded to nearest even; what is too large becomes infinite. Integer
 * arithmetic without branches: the same on any processor, and it vectorises. After Fabian Giesen,
 * "float->half variants" (public domain).
 */
#include "runtime/compress/compress.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "lib/error.h"

enum { WIDTH = 2 /* bytes of a half */ };

static uint32_t bits_of(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static float float_of(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* With masks: of `yes ? a : b` compilers make a branch. */
static uint32_t pick(bool yes, uint32_t a, uint32_t b)
{
	uint32_t mask = -(uint32_t)yes;

	return (a & mask) | (b & ~mask);
}

static uint16_t half_from(float value)
{
	const uint32_t smallest_normal = UINT32_C(113) << 23; /* 2^-14 */
	const uint32_t too_large = UINT32_C(143) << 23;	      /* 2^16 */
	const uint32_t infinity = UINT32_C(255) << 23;
	uint32_t bits = bits_of(value), size = bits & 0x7fffffff;
	/* 2^-24, the unit of subnormal halves, is the last bit of 0.5: the addition rounds. */
	uint32_t subnormal = bits_of(float_of(size) + 0.5f) - bits_of(0.5f);
	/* Exponents are biased by 15 instead of 127. A carry out of the mantissa raises the
	 * exponent, up to infinity's. */
	uint32_t normal = (size - (UINT32_C(112) << 23) + 0xfff + ((size >> 13) & 1)) >> 13;
	uint32_t special = pick(size > infinity, 0x7e00, 0x7c00);
	uint32_t half = pick(size < smallest_normal, subnormal, normal);

	half = pick(size >= too_large, special, half);
	return (uint16_t)((bits >> 16 & 0x8000) | half);
}

static float half_to(uint16_t half)
{
	uint32_t size = (half & UINT32_C(0x7fff)) << 13;
	uint32_t sign = (half & UINT32_C(0x8000)) << 16;
	uint32_t normal = size + (UINT32_C(112) << 23);
	uint32_t subnormal = bits_of(float_of(size + (UINT32_C(113) << 23)) - 0x1p-14f);
	uint32_t special = size | UINT32_C(255) << 23;
	uint32_t value = pick(size < UINT32_C(1) << 23, subnormal, normal);

	value = pick(size >= UINT32_C(31) << 23, special, value);
	return float_of(sign | value);
}

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return count * WIDTH;
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	const float *x = input->x;
	size_t count = input->count;

	for (size_t i = 0; i < count; i++) {
		uint16_t half = half_from(x[i]);

		memcpy(out + WIDTH * i, &half, WIDTH);
	}
	return bound(params, count);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	size_t wanted = bound(params, count);

	if (length != wanted)
		return error_set(err, "a payload of %zu bytes where %zu were expected", length,
				 wanted);
	for (size_t i = 0; i < count; i++) {
		uint16_t half;

		memcpy(&half, bytes + WIDTH * i, WIDTH);
		y[i] += scale * half_to(half);
	}
	return 0;
}

/* Half a unit of the last place: of ten bits, or of the smallest subnormals. */
static double largest_error(const void *params, const struct compress_input *input)
{
	double sum = 0;

	(void)params;
	for (size_t i = 0; i < input->count; i++) {
		double size = fabs((double)input->x[i]);
		double most = fmax(size * 0x1p-11, 0x1p-25);

		sum += size < 65520 ? most * most : INFINITY;
	}
	return sqrt(sum);
}

const struct compressor compress_fp16 = {
	.entry = { .name = "fp16", .summary = "half precision with error feedback" },
	.payload = PAYLOAD_OPAQUE,
	.biased = true,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
};
