/* Matrices as products of two factors of few columns. */
#include "runtime/device/low_rank.h"

#include <math.h>
#include <string.h>

#include "runtime/device/cpu.h"

/* What is shorter is as good as 0; what is left of a column, as a part of it, that rounding alone
 * may have left. */
static const double shortest = 1e-36, rounding = 1e-5;

static double dot(const float *x, const float *y, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)x[i] * (double)y[i];
	return sum;
}

static double length_of(const float *x, size_t count)
{
	return sqrt(cpu_sum_squares(x, count));
}

/* x -= factor * y, without fused multiplication. */
static void take_out(float *restrict x, float factor, const float *restrict y, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] -= factor * y[i];
}

bool low_rank_normalise(float *column, size_t length)
{
	double size = length_of(column, length);

	if (!(size >= shortest) || !isfinite(size))
		return false;
	cpu_scale(column, (float)(1 / size), length);
	return true;
}

/* Twice is enough: once leaves too much of what comes close to the span of those before. */
static void orthonormalise_column(float *columns, size_t k, size_t length)
{
	float *column = columns + k * length;
	double left_of_it;

	if (!low_rank_normalise(column, length)) {
		memset(column, 0, length * sizeof(*column));
		return;
	}
	for (int round = 0; round < 2; round++)
		for (size_t before = 0; before < k; before++) {
			const float *other = columns + before * length;

			take_out(column, (float)dot(column, other, length), other, length);
		}
	left_of_it = length_of(column, length);
	cpu_scale(column, left_of_it > rounding ? (float)(1 / left_of_it) : 0, length);
}

void low_rank_orthonormalise(float *columns, size_t rank, size_t length)
{
	for (size_t k = 0; k < rank; k++)
		orthonormalise_column(columns, k, length);
}

static void expand_row(float *restrict x, const float *restrict right, float factor, size_t count)
{
	for (size_t j = 0; j < count; j++)
		x[j] = factor * right[j];
}

static void add_row(float *restrict x, const float *restrict right, float factor, size_t count)
{
	for (size_t j = 0; j < count; j++)
		x[j] += factor * right[j];
}

void low_rank_expand(float *x, const float *left, const float *right, size_t rank, size_t rows,
		     size_t columns)
{
	for (size_t i = 0; i < rows; i++) {
		float *row = x + i * columns;

		expand_row(row, right, left[i], columns);
		for (size_t k = 1; k < rank; k++)
			add_row(row, right + k * columns, left[k * rows + i], columns);
	}
}

void low_rank_left(float *left, const float *right, const float *x, size_t rank, size_t rows,
		   size_t columns)
{
	struct cpu_gemm product = {
		.tb = true, .m = rank, .n = rows, .k = columns, .a = right, .b = x, .c = left
	};

	cpu_gemm(&product);
}

void low_rank_right(float *right, const float *left, const float *x, size_t rank, size_t rows,
		    size_t columns)
{
	struct cpu_gemm product = {
		.m = rank, .n = columns, .k = rows, .a = left, .b = x, .c = right
	};

	cpu_gemm(&product);
}

void low_rank_subtract(float *x, const float *left, const float *right, size_t rank, size_t rows,
		       size_t columns)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t k = 0; k < rank; k++)
			cpu_axpy(x + i * columns, -left[k * rows + i], right + k * columns,
				 columns);
}
