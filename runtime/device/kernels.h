/*
 * Inner loops, compiled once for each instruction set from the files in simd/. A kernel is a
 * function KERNEL(name) there and one line here. Kernels run on the calling thread, allocate
 * nothing, and give the same result for the same arguments on one instruction set.
 */
#ifndef DSTRAIN_RUNTIME_KERNELS_H
#define DSTRAIN_RUNTIME_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* clang-format off */
#define POINTWISE_KERNELS(X) \
	X(void, relu, (float *y, const float *x, size_t count)) /* y may be x */ \
	X(void, relu_slope, (float *dx, const float *y, const float *dy, size_t count)) /* dx may be dy */

#define BYTE_KERNELS(X) \
	X(void, scale_bytes, (float *y, const uint8_t *x, size_t count, float scale, float shift))

#define KERNELS(X) \
	POINTWISE_KERNELS(X) \
	BYTE_KERNELS(X)
/* clang-format on */

#define KERNEL_POINTER(type, name, arguments) type(*name) arguments;

struct kernels {
	const char *isa; /* "plain", "avx2", "avx512" */
	KERNELS(KERNEL_POINTER)
};

/* The best set that this processor has, or the one that DSTRAIN_ISA names. */
const struct kernels *kernels(void);

/* All sets that this processor has, from the plainest; NULL-terminated. For tests. */
const struct kernels *const *kernels_all(void);

#endif
