/* The ways in which a vector that does not add up in flight is summed: one file each. */
#ifndef DSTRAIN_RUNTIME_EXCHANGE_WAY_H
#define DSTRAIN_RUNTIME_EXCHANGE_WAY_H

#include <stddef.h>

#include "runtime/exchange.h"

struct residual;

struct exchange {
	struct exchange_env env;
	struct coder *coder;
	struct residual *residual;
	float *difference;	/* [2 * env.count], of exchange_average, and what was sent of it */
	unsigned char *message; /* as long as the longest so far needs */
	size_t room;
	size_t *numbers; /* [4 * world]: starts and lengths, out and in */
	int64_t saved;	 /* bytes: see exchange_saved */
};

/* One vector of a step: block[offset .. offset + count). */
struct vector {
	const struct group *group;
	size_t step, offset;
	float *x;
	size_t count;
};

/* Before and after a vector travels compressed. */
void exchange_count_dense(struct exchange *exchange, const struct vector *vector);
void exchange_count_sent(struct exchange *exchange);

/* exchange->message has so many bytes from now on. */
void exchange_make_room(struct exchange *exchange, size_t bytes);
/* What a peer sent is added to y. */
int exchange_decode(const struct exchange *exchange, int rank, const unsigned char *message,
		    size_t length, size_t offset, float *y, size_t count, struct error *err);

/* vector->x becomes the sum. */
int exchange_gather(struct exchange *exchange, const struct vector *vector,
		    struct error *err); /* everybody's vector to everybody */
int exchange_owners(struct exchange *exchange, const struct vector *vector,
		    struct error *err); /* slices to their owners, sums to everybody */

#endif
