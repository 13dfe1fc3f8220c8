/* Loops over vectors of floats, element by element. */
#include "runtime/device/simd/simd.h"

/* Written so that a NaN stays one. */
void KERNEL(relu)(float *y, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		y[i] = x[i] < 0 ? 0 : x[i];
}

void KERNEL(relu_slope)(float *dx, const float *y, const float *dy, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		float slope = dy[i]; /* loaded in any case, so that the loop vectorises */

		dx[i] = y[i] > 0 ? slope : 0;
	}
}
