/*
 * Vectors of the instruction set that a file of simd/ is compiled for. The Makefile compiles each
 * one several times with another ISA; what it defines is named KERNEL(name).
 */
#ifndef DSTRAIN_RUNTIME_SIMD_H
#define DSTRAIN_RUNTIME_SIMD_H

#include <stddef.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "runtime/device/kernels.h"

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX2__)
#define WIDTH 8
#else
#define WIDTH 4
#endif

/* For loops over arrays of vectors that are to stay in registers. Sanitizers check every round of
 * every copy, which would take them minutes: for them functions remain functions, and loops loops.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INLINE		   static inline
#define UNROLLED(i, count) for (size_t i = 0; i < (count); i++)
#else
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLLED(i, count) _Pragma("unroll") for (size_t i = 0; i < (count); i++)
#else
#define UNROLLED(i, count) _Pragma("GCC unroll 16") for (size_t i = 0; i < (count); i++)
#endif
#endif

INLINE uint32_t bits_of(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

INLINE float float_of(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* With masks: of `yes ? a : b` compilers make a branch. */
INLINE uint32_t pick(bool yes, uint32_t a, uint32_t b)
{
	uint32_t mask = -(uint32_t)yes;

	return (a & mask) | (b & ~mask);
}

typedef float vec __attribute__((vector_size(4 * WIDTH)));
typedef float vec_anywhere __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

typedef int vec_mask __attribute__((vector_size(4 * WIDTH))); /* what x < y gives: 0 or -1 */

static inline vec vec_load(const float *from)
{
	return *(const vec_anywhere *)from;
}

static inline void vec_store(float *to, vec x)
{
	*(vec_anywhere *)to = x;
}

static inline vec vec_pick(vec_mask mask, vec yes, vec no)
{
	return (vec)((mask & (vec_mask)yes) | (~mask & (vec_mask)no));
}

#if WIDTH == 8
static inline __m256i vec_first(size_t count)
{
	const __m256i place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), place);
}
#endif

/* The first `count` <= WIDTH of them; what lies behind is neither read nor written. */
static inline vec vec_load_part(const float *from, size_t count)
{
#if WIDTH == 16
	return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#elif WIDTH == 8
	return _mm256_maskload_ps(from, vec_first(count));
#else
	vec x = { 0 };

	for (size_t i = 0; i < count; i++)
		x[i] = from[i];
	return x;
#endif
}

static inline void vec_store_part(float *to, vec x, size_t count)
{
#if WIDTH == 16
	_mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), x);
#elif WIDTH == 8
	_mm256_maskstore_ps(to, vec_first(count), x);
#else
	for (size_t i = 0; i < count; i++)
		to[i] = x[i];
#endif
}

static inline vec vec_all(float x)
{
	return x - (vec){ 0 };
}

/* A NaN stays one. */
static inline vec vec_relu(vec x)
{
	return vec_pick(x < (vec){ 0 }, (vec){ 0 }, x);
}

/* y where x > 0, else 0. */
static inline vec vec_above(vec x, vec y)
{
	return vec_pick(x > (vec){ 0 }, y, (vec){ 0 });
}

#if WIDTH == 16
#define VEC_LOW	 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define VEC_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif WIDTH == 8
#define VEC_LOW	 0, 8, 1, 9, 2, 10, 3, 11
#define VEC_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define VEC_LOW	 0, 4, 1, 5
#define VEC_HIGH 2, 6, 3, 7
#endif

/* Rows become columns: row i and row i + WIDTH / 2 are shuffled into each other, as often as WIDTH
 * can be halved. */
INLINE void vec_transpose(vec row[WIDTH])
{
	for (int bit = 1; bit < WIDTH; bit *= 2) {
		vec next[WIDTH];

		for (int i = 0; i < WIDTH / 2; i++) {
			next[2 * i] = __builtin_shufflevector(row[i], row[i + WIDTH / 2], VEC_LOW);
			next[2 * i + 1] =
				__builtin_shufflevector(row[i], row[i + WIDTH / 2], VEC_HIGH);
		}
		for (int i = 0; i < WIDTH; i++)
			row[i] = next[i];
	}
}

#define KERNEL_JOIN(name, isa)	 name##_##isa
#define KERNEL_EXPAND(name, isa) KERNEL_JOIN(name, isa)
#define KERNEL(name)		 KERNEL_EXPAND(name, ISA)

#define KERNEL_DECLARATION(type, name, arguments) type KERNEL(name) arguments;
KERNELS(KERNEL_DECLARATION)

#endif
