/* Rows of tokens, a sample being some that follow each other and its targets the ones after them.
 */
#ifndef DSTRAIN_RUNTIME_SEQUENCE_H
#define DSTRAIN_RUNTIME_SEQUENCE_H

#include "lib/opt.h"
#include "runtime/data/data.h"

/* Features are floats, which hold whole numbers up to here. */
enum { MOST_TOKENS = 1 << 24 };

struct sequence_params {
	size_t length, stride;
};

/* The rows of a format whose params struct has a struct sequence_params as `field`. */
/* clang-format off */
#define SEQUENCE_OPTIONS(params, field) \
	{ "context", OPT_COUNT, offsetof(struct params, field.length), "128", \
	  "tokens of a sample", .min = 1, .max = 1 << 20 }, \
	{ "stride", OPT_COUNT, offsetof(struct params, field.stride), "0", \
	  "tokens from one training sample to the next; 0: as many as a sample has", .min = 0, \
	  .max = 1 << 20 }
/* clang-format on */

struct row {
	const uint8_t *start;
	size_t width; /* bytes of a token: 1, 2 or 4 */
	size_t count; /* tokens */
};

uint32_t row_largest(const struct row *row);
/* All tokens are below `vocabulary`? */
int row_check(const struct row *row, size_t vocabulary, const char *path, struct error *err);

/* The samples of a row, which lies in *file; takes that over. */
int sequence_add(const struct sequence_params *params, enum data_part part, const char *path,
		 struct mapped *file, const struct row *row, struct dataset *out,
		 struct error *err);

#endif
