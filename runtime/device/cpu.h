/* Arithmetic on float vectors and matrices on the processor. No call allocates. */
#ifndef DSTRAIN_RUNTIME_CPU_H
#define DSTRAIN_RUNTIME_CPU_H

#include <stdbool.h>
#include <stddef.h>

struct team;

/* Which kernels this processor runs: "avx512". Other kernels round products differently. */
const char *cpu_kernel(void);

/*
 * Row-major C[m][n] = A[m][k] * B[k][n] + beta * C, then + bias in every row, then relu.
 * ta: A is stored [k][m]; tb: B is stored [n][k]. With beta 0 what C held is not read.
 * The result is the same for any number of threads. From within a team's work: team NULL.
 */
struct cpu_gemm {
	bool ta, tb, relu;
	size_t m, n, k;
	size_t lda, ldb, ldc; /* floats from one stored row to the next; 0: rows adjoin */
	const float *a, *b;
	float beta;
	const float *bias; /* [n]; may be NULL */
	float *c;	   /* overlaps nothing else */
	struct team *team; /* may be NULL */
};
void cpu_gemm(const struct cpu_gemm *gemm);

/* The same on every processor, bit for bit, but for cpu_axpy. */
void cpu_add(float *y, const float *x, size_t count); /* y += x */
/* y = x[0] + x[1] + ... + x[n - 1], n > 1, added from the left; y may be one of them. */
void cpu_sum(float *y, const float *const *x, size_t n, size_t count);
void cpu_scale(float *y, float factor, size_t count);		     /* y *= factor */
void cpu_axpy(float *y, float factor, const float *x, size_t count); /* y += factor * x */
double cpu_sum_squares(const float *x, size_t count);		     /* in a fixed order */

#endif
