/* A matrix product as its kernel sees it. */
#ifndef DSTRAIN_RUNTIME_GEMM_H
#define DSTRAIN_RUNTIME_GEMM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * C[y][x] = S[y][k] * V[k][x] + beta * C + bias, then relu. Vectors are taken from V, single
 * elements from S. Element (i, j) of each lies at i * its first step + j * its second; one of both
 * steps is 1. How y and x are cut into parts does not change an element's result.
 */
enum { GEMM_COLUMNS = 32 }; /* where x is cut into parts, it is at multiples of this */

struct gemm_part {
	size_t y, x, k;
	const float *s, *v;
	size_t s_y, s_k, v_k, v_x;
	float *c;
	size_t c_y, c_x;
	float beta;
	const float *bias; /* along the step 1 of C; may be NULL */
	bool relu;
};

#endif
