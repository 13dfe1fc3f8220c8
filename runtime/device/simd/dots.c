/*
 * Matrix products that have only a few rows or columns, from operands whose steps adjoin: vectors
 * are taken along k, so that nothing has to be turned first.
 */
#include "runtime/device/simd/simd.h"

#include <stdbool.h>

#include "runtime/device/gemm.h"

enum { ROWS = 4, COLUMNS = 4 };

static float total(vec x)
{
	for (int half = WIDTH / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			x[i] += x[i + half];
	return x[0];
}

static void end(const struct gemm_part *part, size_t y, size_t x, float sum)
{
	float *c = part->c + y * part->c_y + x * part->c_x;

	if (part->beta != 0)
		sum += part->beta * *c;
	if (part->bias)
		sum += part->bias[part->c_x == 1 ? x : y];
	*c = part->relu && sum < 0 ? 0 : sum;
}

INLINE void multiply(const struct gemm_part *part, size_t y, size_t x, size_t rows, size_t columns)
{
	const float *s = part->s + y * part->s_y, *v = part->v + x * part->v_x;
	size_t whole = part->k - part->k % WIDTH;
	vec sum[ROWS][COLUMNS], row[ROWS];

	UNROLLED (i, rows)
		UNROLLED (j, columns)
			sum[i][j] = (vec){ 0 };
	for (size_t p = 0; p < whole; p += WIDTH) {
		UNROLLED (i, rows)
			row[i] = vec_load(s + i * part->s_y + p);
		UNROLLED (j, columns) {
			vec column = vec_load(v + j * part->v_x + p);

			UNROLLED (i, rows)
				sum[i][j] += row[i] * column;
		}
	}
	if (whole < part->k)
		UNROLLED (i, rows)
			UNROLLED (j, columns)
				sum[i][j] +=
					vec_load_part(s + i * part->s_y + whole, part->k - whole) *
					vec_load_part(v + j * part->v_x + whole, part->k - whole);
	UNROLLED (i, rows)
		UNROLLED (j, columns)
			end(part, y + i, x + j, total(sum[i][j]));
}

INLINE void multiply_rows(const struct gemm_part *part, size_t x, size_t columns)
{
	size_t y = 0;

	for (; y + ROWS <= part->y; y += ROWS)
		multiply(part, y, x, ROWS, columns);
	for (; y < part->y; y++)
		multiply(part, y, x, 1, columns);
}

void KERNEL(dots)(const struct gemm_part *part)
{
	size_t x = 0;

	for (; x + COLUMNS <= part->x; x += COLUMNS)
		multiply_rows(part, x, COLUMNS);
	for (; x < part->x; x++)
		multiply_rows(part, x, 1);
}
