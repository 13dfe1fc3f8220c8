/*
 * Matrices as products of two factors of few columns. A factor is stored column by column,
 * [rank][length], a matrix row by row. Where nothing else is said the result is the same on every
 * processor, bit for bit.
 */
#ifndef DSTRAIN_RUNTIME_LOW_RANK_H
#define DSTRAIN_RUNTIME_LOW_RANK_H

#include <stdbool.h>
#include <stddef.h>

/* Columns become orthogonal and of length 1 (modified Gram-Schmidt, twice); one that lies in the
 * span of those before it, but for rounding, becomes 0. */
void low_rank_orthonormalise(float *columns, size_t rank, size_t length);

/* A column becomes one of length 1. False, and it is left alone: it is too short for that, or not
 * finite. */
bool low_rank_normalise(float *column, size_t length);

/* x[rows][columns] = sum over k of left[k][i] right[k][j]. */
void low_rank_expand(float *x, const float *left, const float *right, size_t rank, size_t rows,
		     size_t columns);

/* left[rank][rows] = right x^T, and right[rank][columns] = left x; x[rows][columns] is read row by
 * row in both. Processors differ in rounding. */
void low_rank_left(float *left, const float *right, const float *x, size_t rank, size_t rows,
		   size_t columns);
void low_rank_right(float *right, const float *left, const float *x, size_t rank, size_t rows,
		    size_t columns);
/* x -= what low_rank_expand makes of them. Processors differ in rounding. */
void low_rank_subtract(float *x, const float *left, const float *right, size_t rank, size_t rows,
		       size_t columns);

#endif
