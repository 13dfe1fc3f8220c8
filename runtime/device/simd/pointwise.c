/* Loops over vectors of floats, element by element. */
#include "runtime/device/simd/math.h"

#include <string.h>

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

void KERNEL(add)(float *y, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		y[i] += x[i];
}

static void add_pair(float *restrict sum, const float *x, const float *y, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum[i] = x[i] + y[i];
}

/* Blocks that stay in the first cache, so that memory is read and written once. */
void KERNEL(add_many)(float *y, const float *const *x, size_t n, size_t count)
{
	enum { BLOCK = 1024 };
	float sum[BLOCK];

	for (size_t start = 0, length; start < count; start += length) {
		length = count - start < BLOCK ? count - start : BLOCK;
		add_pair(sum, x[0] + start, x[1] + start, length);
		for (size_t k = 2; k < n; k++)
			KERNEL(add)(sum, x[k] + start, length);
		memcpy(y + start, sum, length * sizeof(*y));
	}
}

void KERNEL(scale)(float *y, float factor, size_t count)
{
	for (size_t i = 0; i < count; i++)
		y[i] *= factor;
}

void KERNEL(axpy)(float *y, float factor, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		y[i] += factor * x[i];
}

void KERNEL(sum)(float *y, const float *x, const float *z, size_t count, bool relu)
{
	if (!relu)
		for (size_t i = 0; i < count; i++)
			y[i] = x[i] + z[i];
	else
		for (size_t i = 0; i < count; i++) {
			float sum = x[i] + z[i];

			y[i] = sum < 0 ? 0 : sum;
		}
}

enum { AT_ONCE = 4 };

/* So many columns at a time that their sums stay in registers; what is left, a vector at a time. */
void KERNEL(sum_rows)(float *sum, const float *x, size_t rows, size_t step, size_t count)
{
	size_t j = 0;

	for (; j + AT_ONCE * WIDTH <= count; j += AT_ONCE * WIDTH) {
		vec total[AT_ONCE] = { 0 };

		for (size_t i = 0; i < rows; i++)
			UNROLLED (v, AT_ONCE)
				total[v] += vec_load(x + i * step + j + v * WIDTH);
		UNROLLED (v, AT_ONCE)
			vec_store(sum + j + v * WIDTH, total[v]);
	}
	for (; j < count; j += WIDTH) {
		vec total = { 0 };

		for (size_t i = 0; i < rows; i++)
			total += vec_load_rest(x + i * step + j, count - j);
		vec_store_rest(sum + j, total, count - j);
	}
}
