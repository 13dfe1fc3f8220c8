/*
 * Floats of 16 bits: IEEE's and the upper half of float32. Integer arithmetic without branches
 * where there is no instruction; after Fabian Giesen, "float->half variants" (public domain).
 */
#include <string.h>

#include "runtime/device/simd/simd.h"

enum { BYTES = 2 };

INLINE uint16_t half_from(float value)
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

INLINE float half_to(uint16_t half)
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

static size_t pack_lanes(unsigned char *out, const float *x, size_t count)
{
	size_t i = 0;

#ifdef __AVX512F__
	for (; i + WIDTH <= count; i += WIDTH) {
		__m256i half = _mm512_cvtps_ph(_mm512_loadu_ps(x + i),
					       _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);

		memcpy(out + BYTES * i, &half, sizeof(half));
	}
#else
	(void)out, (void)x, (void)count;
#endif
	return i;
}

void KERNEL(half_pack)(unsigned char *restrict out, const float *restrict x, size_t count)
{
	for (size_t i = pack_lanes(out, x, count); i < count; i++) {
		uint16_t half = half_from(x[i]);

		memcpy(out + BYTES * i, &half, BYTES);
	}
}

static size_t add_lanes(float *y, const unsigned char *bytes, float scale, size_t count)
{
	size_t i = 0;

#ifdef __AVX512F__
	for (; i + WIDTH <= count; i += WIDTH) {
		__m256i half;

		memcpy(&half, bytes + BYTES * i, sizeof(half));
		vec_store(y + i, vec_load(y + i) + scale * (vec)_mm512_cvtph_ps(half));
	}
#else
	(void)y, (void)bytes, (void)scale, (void)count;
#endif
	return i;
}

void KERNEL(half_add)(float *restrict y, const unsigned char *restrict bytes, float scale,
		      size_t count)
{
	for (size_t i = add_lanes(y, bytes, scale, count); i < count; i++) {
		uint16_t half;

		memcpy(&half, bytes + BYTES * i, BYTES);
		y[i] += scale * half_to(half);
	}
}

/* A NaN stays one, though a carry would make it a zero. */
INLINE uint16_t bfloat_from(float value)
{
	const uint32_t infinity = UINT32_C(255) << 23;
	uint32_t bits = bits_of(value);
	uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;

	return (uint16_t)pick((bits & 0x7fffffff) > infinity, bits >> 16 | 0x40, rounded);
}

void KERNEL(bfloat_pack)(unsigned char *restrict out, const float *restrict x, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint16_t value = bfloat_from(x[i]);

		memcpy(out + BYTES * i, &value, BYTES);
	}
}

void KERNEL(bfloat_add)(float *restrict y, const unsigned char *restrict bytes, float scale,
			size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint16_t value;

		memcpy(&value, bytes + BYTES * i, BYTES);
		y[i] += scale * float_of((uint32_t)value << 16);
	}
}
