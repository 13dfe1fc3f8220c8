/*
 * Vectors of the instruction set that a file of simd/ is compiled for. The Makefile compiles each
 * one several times with another ISA; what it defines is named KERNEL(name).
 */
#ifndef DSTRAIN_RUNTIME_SIMD_H
#define DSTRAIN_RUNTIME_SIMD_H

#include <stddef.h>

#include "runtime/device/kernels.h"

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX2__)
#define WIDTH 8
#else
#define WIDTH 4
#endif

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef float vec_anywhere __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

static inline vec vec_load(const float *from)
{
	return *(const vec_anywhere *)from;
}

static inline void vec_store(float *to, vec x)
{
	*(vec_anywhere *)to = x;
}

static inline vec vec_all(float x)
{
	return x - (vec){ 0 };
}

typedef int vec_mask __attribute__((vector_size(4 * WIDTH)));

/* A NaN stays one. */
static inline vec vec_relu(vec x)
{
	return (vec)((vec_mask)x & ~(x < (vec){ 0 }));
}

/* y where x > 0, else 0. */
static inline vec vec_above(vec x, vec y)
{
	return (vec)((vec_mask)y & (x > (vec){ 0 }));
}

#define KERNEL_JOIN(name, isa)	 name##_##isa
#define KERNEL_EXPAND(name, isa) KERNEL_JOIN(name, isa)
#define KERNEL(name)		 KERNEL_EXPAND(name, ISA)

#define KERNEL_DECLARATION(type, name, arguments) type KERNEL(name) arguments;
KERNELS(KERNEL_DECLARATION)

#endif
