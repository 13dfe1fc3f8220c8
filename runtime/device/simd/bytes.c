/* From the bytes of pictures to floats. */
#include "runtime/device/simd/simd.h"

void KERNEL(scale_bytes)(float *y, const uint8_t *x, size_t count, float scale, float shift)
{
	for (size_t i = 0; i < count; i++)
		y[i] = x[i] * scale + shift;
}

void KERNEL(sum_bytes)(const uint8_t *x, size_t count, uint64_t *sum, uint64_t *squares)
{
	enum { MOST = 1 << 16 }; /* 255^2 of each fit in 32 bits */

	while (count > 0) {
		size_t some = count < MOST ? count : MOST;
		uint32_t part = 0, square = 0;

		for (size_t i = 0; i < some; i++) {
			part += x[i];
			square += (uint32_t)x[i] * x[i];
		}
		*sum += part;
		*squares += square;
		x += some;
		count -= some;
	}
}
