/* Searching by magnitude, which has the order of the bits of |x|. */
#include "runtime/device/simd/simd.h"

enum { ROWS = 4 };

/* A bit for each lane, the first one lowest. */
INLINE unsigned lanes_of(vec_mask mask)
{
#if WIDTH == 16
	return _mm512_movepi32_mask((__m512i)mask);
#elif WIDTH == 8
	return (unsigned)_mm256_movemask_ps((__m256)mask);
#else
	return (unsigned)((mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8));
#endif
}

INLINE vec_mask reaches(const float *x, uint32_t least)
{
	return ((vec_mask)vec_load(x) & 0x7fffffff) >= (int)least;
}

size_t KERNEL(find_size)(const float *x, size_t count, uint32_t least)
{
	size_t i = 0;

	for (; i + ROWS * WIDTH <= count; i += ROWS * WIDTH) {
		vec_mask row[ROWS], any = { 0 };
		uint64_t lanes = 0;

		UNROLLED (k, ROWS)
			any |= row[k] = reaches(x + i + k * WIDTH, least);
		if (!lanes_of(any))
			continue;
		UNROLLED (k, ROWS)
			lanes |= (uint64_t)lanes_of(row[k]) << (k * WIDTH);
		return i + (size_t)__builtin_ctzll(lanes);
	}
	for (; i < count; i++)
		if ((bits_of(x[i]) & 0x7fffffff) >= least)
			return i;
	return count;
}
