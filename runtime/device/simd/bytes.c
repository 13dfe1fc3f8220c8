/* From the bytes of pictures to floats. */
#include "runtime/device/simd/simd.h"

void KERNEL(scale_bytes)(float *y, const uint8_t *x, size_t count, float scale, float shift)
{
	for (size_t i = 0; i < count; i++)
		y[i] = x[i] * scale + shift;
}
