/*
 * The only place where compressors meet the wire: residual, encode, collective, decode. Vectors
 * are parts of a block of `count` floats (all parameters or gradients), told apart by their offset.
 */
#ifndef DSTRAIN_RUNTIME_EXCHANGE_H
#define DSTRAIN_RUNTIME_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/coll.h"

struct error;
struct exchange;
struct net;
struct part;

struct exchange_env {
	struct net *net;	       /* borrowed */
	const struct part *compressor; /* borrowed */
	enum coll_algorithm algorithm;
	uint64_t seed;
	size_t count; /* of the block */
};

struct exchange *exchange_new(const struct exchange_env *env);

/* x[count], which starts at `offset` of the block, becomes its sum (mean) over the group. Where
 * payloads are sums nothing is left of a vector, which then need not lie within the block.
 * Blocking; one call at a time per exchange. */
int exchange_sum(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		 float *x, size_t count, struct error *err);
int exchange_mean(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		  float *x, size_t count, struct error *err);

/* What error feedback has not yet sent, [count of the block], for checkpoints; NULL if the scheme
 * needs none. */
float *exchange_residual(struct exchange *exchange);
void exchange_free(struct exchange *exchange); /* may be NULL */

#endif
