/*
 * Inner loops, compiled once for each instruction set from the files in simd/. A kernel is a
 * function KERNEL(name) there and one line here. Kernels run on the calling thread, allocate
 * nothing, and give the same result for the same arguments on one instruction set.
 */
#ifndef DSTRAIN_RUNTIME_KERNELS_H
#define DSTRAIN_RUNTIME_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attention;
struct code_measure;
struct code_rule;
struct cross_entropy;
struct error;
struct norm_rows;
struct norm_slopes;
struct adagrad_step;
struct adam_step;
struct gemm_part;
struct conv_product;
struct conv_slope;
struct conv_view;
struct lamb_step;
struct plane_norm;
struct pool;
struct rng;
struct sgd_step;

/* clang-format off */
#define POINTWISE_KERNELS(X) \
	X(void, relu, (float *y, const float *x, size_t count)) /* y may be x */ \
	X(void, relu_slope, (float *dx, const float *y, const float *dy, size_t count)) /* dx may be dy */ \
	X(void, add, (float *y, const float *x, size_t count)) /* as cpu_add */ \
	X(void, add_many, (float *y, const float *const *x, size_t n, size_t count)) /* as cpu_sum */ \
	X(void, scale, (float *y, float factor, size_t count)) \
	X(void, axpy, (float *y, float factor, const float *x, size_t count)) \
	X(void, sum, (float *y, const float *x, const float *z, size_t count, bool relu)) /* y may be x */

#define FUNCTION_KERNELS(X) /* y may be x, dx may be dy or the other */ \
	X(void, sigmoid, (float *y, const float *x, size_t count)) \
	X(void, sigmoid_slope, (float *dx, const float *y, const float *dy, size_t count)) \
	X(void, tanh, (float *y, const float *x, size_t count)) \
	X(void, tanh_slope, (float *dx, const float *y, const float *dy, size_t count)) \
	X(void, gelu, (float *y, const float *x, size_t count)) \
	X(void, gelu_slope, (float *dx, const float *x, const float *dy, size_t count)) \
	X(void, gelu_tanh, (float *y, const float *x, size_t count)) \
	X(void, gelu_tanh_slope, (float *dx, const float *x, const float *dy, size_t count))

#define ROW_KERNELS(X) \
	X(void, sum_rows, (float *sum, const float *x, size_t rows, size_t step, size_t count)) /* count of each row */ \
	X(void, norm_rows, (const struct norm_rows *rows)) /* runtime/device/norm.h */ \
	X(void, norm_rows_slopes, (const struct norm_slopes *rows)) \
	X(void, cross_entropy, (const struct cross_entropy *rows, double *loss, size_t *correct)) /* adds; runtime/device/cross_entropy.h */

#define ATTENTION_KERNELS(X) /* runtime/device/attention.h */ \
	X(void, attention, (const struct attention *head)) \
	X(void, attention_slopes, (const struct attention *head))

#define CONV_KERNELS(X) \
	X(void, conv_copy, (const struct conv_view *view, const float *planes, float *copy)) \
	X(void, conv_product, (const struct conv_product *product)) \
	X(void, conv_turn, (const float *planes, size_t plane, size_t channels, size_t pixels, float *turned, size_t lanes)) \
	X(void, conv_slope, (const struct conv_slope *slope))

#define POOL_KERNELS(X) \
	X(void, max_pool, (const struct pool *pool, const float *plane, float *out, unsigned char *which)) \
	X(void, max_pool_slope, (const struct pool *pool, const float *dout, const unsigned char *which, float *din))

/* Of planes: count numbers of one channel that adjoin. */
#define PLANE_KERNELS(X) \
	X(void, plane_moments, (const float *x, size_t count, float *mean, float *squares)) /* sum of (x - mean)^2 */ \
	X(void, plane_scale, (float *y, const float *x, size_t count, const struct plane_norm *norm)) \
	X(void, plane_sums, (const float *x, const float *dy, size_t count, const struct plane_norm *norm, float *sums)) \
	X(void, plane_slope, (float *dx, const float *x, const float *dy, size_t count, const struct plane_norm *norm))

#define BYTE_KERNELS(X) \
	X(void, scale_bytes, (float *y, const uint8_t *x, size_t count, float scale, float shift)) \
	/* adds to both */ \
	X(void, sum_bytes, (const uint8_t *x, size_t count, uint64_t *sum, uint64_t *squares))

/* See optim_step.h. No two arrays overlap. */
#define OPTIM_KERNELS(X) \
	X(double, sum_squares, (const float *x, size_t count)) /* the same on all sets */ \
	X(void, sgd, (const struct sgd_step *step, float *w, const float *grad, size_t count)) \
	X(void, sgd_momentum, (const struct sgd_step *step, float *w, float *velocity, \
			       const float *grad, size_t count)) \
	X(void, adam, (const struct adam_step *step, float *w, float *mean, float *square, \
		       const float *grad, size_t count)) \
	X(void, adagrad, (const struct adagrad_step *step, float *w, float *sum, \
			  const float *grad, size_t count)) \
	X(void, lamb_measure, (const struct lamb_step *step, const float *w, float *mean, \
			       float *square, const float *grad, size_t count, double *sums)) \
	X(void, lamb, (const struct lamb_step *step, float *w, const float *mean, \
		       const float *square, size_t count))

/* What goes on the wire: the same bytes and sums on all sets. A code has 16 bits, of which the lower
 * ones count; see codec.h. Floats of 16 bits are rounded to the nearest even. */
#define CODE_ARGUMENTS \
	(const struct code_rule *rule, const float *x, const uint32_t *words, uint16_t *codes, size_t count)
#define CODEC_KERNELS(X) \
	X(void, random_words, (const struct rng *rng, uint64_t chunk, uint32_t *words, size_t chunks)) /* as in rng.h */ \
	/* of groups of 8 codes; writes and reads 8 bytes too many */ \
	X(void, bits_pack, (unsigned char *out, const uint16_t *codes, size_t groups, unsigned width)) \
	X(void, bits_unpack, (uint16_t *codes, const unsigned char *bytes, size_t groups, unsigned width)) \
	/* five codes of 2 bits a byte, codes[j + k * bytes] in its place k */ \
	X(void, trits_pack, (unsigned char *out, const uint16_t *codes, size_t bytes)) \
	X(void, trits_unpack, (uint16_t *codes, const unsigned char *in, size_t bytes)) \
	X(void, code_measure, (const float *x, size_t count, struct code_measure *measure)) \
	X(void, code_levels, CODE_ARGUMENTS) \
	X(void, code_powers, CODE_ARGUMENTS) \
	X(void, code_signs, CODE_ARGUMENTS) \
	X(void, code_votes, CODE_ARGUMENTS) \
	X(void, code_normal_votes, CODE_ARGUMENTS) \
	X(void, code_add, (float *y, const uint16_t *codes, const float *table, size_t entries, size_t count)) \
	X(void, half_pack, (unsigned char *out, const float *x, size_t count)) \
	X(void, half_add, (float *y, const unsigned char *bytes, float scale, size_t count)) \
	X(void, bfloat_pack, (unsigned char *out, const float *x, size_t count)) \
	X(void, bfloat_add, (float *y, const unsigned char *bytes, float scale, size_t count)) \
	/* the first i where the bits of |x[i]| are at least `least`, at most infinity's; or count */ \
	X(size_t, find_size, (const float *x, size_t count, uint32_t least)) \
	X(void, range, (const float *x, size_t count, float *low, float *high)) /* count > 0 */ \
	X(void, range_pack, (unsigned char *out, const float *x, size_t count, float low, float inverse)) /* (x - low) * inverse */ \
	X(void, range_add, (float *y, const unsigned char *bytes, size_t count, float low, float step))

#define GEMM_KERNELS(X) \
	X(void, gemm, (const struct gemm_part *part)) /* runtime/device/gemm.h */ \
	X(void, dots, (const struct gemm_part *part)) /* the same, where s_k and v_k are 1 */

#define KERNELS(X) \
	POINTWISE_KERNELS(X) \
	FUNCTION_KERNELS(X) \
	ROW_KERNELS(X) \
	ATTENTION_KERNELS(X) \
	CONV_KERNELS(X) \
	POOL_KERNELS(X) \
	PLANE_KERNELS(X) \
	OPTIM_KERNELS(X) \
	BYTE_KERNELS(X) \
	CODEC_KERNELS(X) \
	GEMM_KERNELS(X)
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

/* One of these from now on; NULL: as at the start. For tests, while no kernel runs. */
void kernels_choose(const struct kernels *set);

#endif
