/* The ways in which a vector that does not add up in flight is summed: one file each. */
#ifndef DSTRAIN_RUNTIME_EXCHANGE_WAY_H
#define DSTRAIN_RUNTIME_EXCHANGE_WAY_H

#include <stddef.h>

#include "runtime/exchange.h"
#include "runtime/sparse_vector.h"

struct coll_sparse;
struct residual;

struct exchange {
	struct exchange_env env;
	struct coder *coder;
	struct residual *residual;
	float *difference;	/* [2 * env.count], of exchange_average, and what was sent of it */
	unsigned char *message; /* as long as the longest so far needs */
	size_t room;
	bool acts_alone;	    /* a group of one is no copy: there are votes, or momentum */
	size_t *numbers;	    /* [4 * world]: starts and lengths, out and in */
	struct coll_sparse *sparse; /* NULL until it is needed */
	struct sparse_vector pairs;
};

/* One vector of a step: block[offset .. offset + count). */
struct vector {
	const struct group *group;
	size_t step, offset;
	float *x;
	size_t count;
};

/* exchange->message has so many bytes from now on. */
void exchange_make_room(struct exchange *exchange, size_t bytes);
/* What a peer sent is added to y. */
int exchange_decode(const struct exchange *exchange, int rank, const unsigned char *message,
		    size_t length, size_t offset, float *y, size_t count, struct error *err);

/* For votes that depend on what is largest on all ranks: asks them. x is what will be encoded of
 * the vector. */
int exchange_agree(struct exchange *exchange, const struct vector *vector, const float *x,
		   struct error *err);

/* vector->x becomes the sum. */
int exchange_gather(struct exchange *exchange, const struct vector *vector,
		    struct error *err); /* everybody's vector to everybody */
int exchange_owners(struct exchange *exchange, const struct vector *vector,
		    struct error *err); /* slices to their owners, sums to everybody */
int exchange_sparse(struct exchange *exchange, const struct vector *vector,
		    struct error *err); /* pairs, added up on their way */

/* The cheapest of these for the group's messages: the same on all members. */
enum exchange_collective exchange_choose(const struct exchange *exchange,
					 const struct vector *vector);

#endif
