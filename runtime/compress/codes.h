/*
 * What schemes of few bits have in common: a kernel makes a code of each element, codes are packed,
 * and a table says what each one means. Codes are made in blocks that stay in the cache.
 */
#ifndef DSTRAIN_RUNTIME_CODES_H
#define DSTRAIN_RUNTIME_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/device/codec.h"
#include "runtime/device/kernels.h"

struct error;
struct rng;

enum { CODES_BLOCK = 640 }; /* whole groups of bits, chunks of random words and bytes of trits */

typedef void codes_kernel CODE_ARGUMENTS;

/* How a vector becomes codes. Element i takes the random word first + i. */
struct codes_plan {
	codes_kernel *kernel;
	struct code_rule rule;
	const struct rng *rng; /* NULL: the kernel takes none */
	size_t first;
};

/* Of the elements from `at`, a multiple of CODES_BLOCK, on: at most CODES_BLOCK. */
void codes_make(const struct codes_plan *plan, const float *x, size_t at, size_t count,
		uint16_t *codes);

float codes_largest(const float *x, size_t count); /* of |x|; 0 of none */

/* Fields of `width` bits, as runtime/compress/bits.h. */
void codes_encode(const struct codes_plan *plan, const float *x, size_t count, unsigned width,
		  unsigned char *out);
/* y[i] += table[code], table[2^width]. */
void codes_add(const unsigned char *bytes, size_t count, unsigned width, const float *table,
	       float *y);

/* -1, with the reason, for what no encoder writes: another length, bits set behind the last field
 * of a payload that ends with `count` of them, a scale that is negative or not finite. */
int codes_check_length(size_t length, size_t wanted, struct error *err);
int codes_check_end(const unsigned char *bytes, size_t count, unsigned width, struct error *err);
int codes_check_scale(float scale, struct error *err);

void codes_put_scale(unsigned char *out, float scale); /* 4 bytes */
float codes_get_scale(const unsigned char *bytes);

#endif
