/* Rows that are brought to mean 0 and variance 1, as their kernels see them. */
#ifndef DSTRAIN_RUNTIME_NORM_H
#define DSTRAIN_RUNTIME_NORM_H

#include <stddef.h>

/* y = (x - mean) / sqrt(variance + epsilon) * weight + bias, row by row; y may be x. */
struct norm_rows {
	size_t rows, count; /* of each row */
	const float *x, *weight, *bias;
	float epsilon;
	float *stats; /* out: [rows] of mean, 1 / sqrt(...) */
	float *y;
};

/* ... and backward: dx may be dy, or NULL. */
struct norm_slopes {
	size_t rows, count;
	const float *x, *weight, *stats, *dy;
	float *dx;
	float *dweight, *dbias; /* are added to */
};

#endif
