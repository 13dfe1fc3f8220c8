/* Searching by magnitude, which has the order of the bits of |x|. */
#include "runtime/device/simd/simd.h"

enum { ROWS = 4 };

INLINE bool any(vec_mask mask)
{
#if WIDTH == 16
	return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif WIDTH == 8
	return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
	return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
#endif
}

size_t KERNEL(find_size)(const float *x, size_t count, uint32_t least)
{
	size_t i = 0;

	for (; i + ROWS * WIDTH <= count; i += ROWS * WIDTH) {
		vec_mask found = { 0 };

		for (size_t k = 0; k < ROWS; k++) {
			vec_mask size = (vec_mask)vec_load(x + i + k * WIDTH) & 0x7fffffff;

			found |= size >= (int)least;
		}
		if (any(found))
			break;
	}
	for (; i < count; i++)
		if ((bits_of(x[i]) & 0x7fffffff) >= least)
			return i;
	return count;
}
