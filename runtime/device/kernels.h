/*
 * Inner loops, compiled once for each instruction set from the files in simd/. A kernel is a
 * function KERNEL(name) there and one line here. Kernels run on the calling thread, allocate
 * nothing, and give the same result for the same arguments on one instruction set.
 */
#ifndef DSTRAIN_RUNTIME_KERNELS_H
#define DSTRAIN_RUNTIME_KERNELS_H

#include <stddef.h>

struct gemm_part;

/* clang-format off */
#define POINTWISE_KERNELS(X) \
	X(void, relu, (float *y, const float *x, size_t count)) /* y may be x */ \
	X(void, relu_slope, (float *dx, const float *y, const float *dy, size_t count)) /* dx may be dy */

#define GEMM_KERNELS(X) \
	X(void, gemm, (const struct gemm_part *part)) /* runtime/device/gemm.h */ \
	X(void, dots, (const struct gemm_part *part)) /* the same, where s_k and v_k are 1 */

#define KERNELS(X) \
	POINTWISE_KERNELS(X) \
	GEMM_KERNELS(X)
/* clang-format on */

#define KERNEL_POINTER(type, name, arguments) type(*name) arguments;

struct kernels {
	const char *isa; /* "plain", "avx2", "avx512" */
	KERNELS(KERNEL_POINTER)
};

/* The best set that this processor has, or the one that DSTRAIN_ISA names. */
const struct kernels *kernels(void);

/* For tests: all sets that this processor has, from the plainest, NULL-terminated; and what
 * kernels() gives from now on. */
const struct kernels *const *kernels_all(void);
void kernels_choose(const struct kernels *set);

#endif
