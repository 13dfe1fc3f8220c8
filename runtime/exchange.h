/*
 * The only place where compressors meet the wire: residual, encode, collective, decode. Vectors
 * are parts of a block of `count` floats (all parameters or gradients), told apart by their offset.
 *
 * What does not add up in flight travels in one of two ways, chosen by what the group's messages
 * cost: everybody's whole vector to everybody, or slices to their owners, who add them, encode the
 * sum and hand it out (a compressed reduce-scatter and allgather). All members decode the same
 * bytes in the same order, and so have the same bits.
 *
 * With error feedback (Seide et al. 2014; Karimireddy et al. 2019) a rank adds to what it encodes
 * what earlier steps left out: of a vector before it is sent, of a sum before its owner hands it
 * out. Either is a debt to the sum, so that one array holds both; the sum of what came out, and of
 * all ranks' residuals, is the sum of what went in.
 */
#ifndef DSTRAIN_RUNTIME_EXCHANGE_H
#define DSTRAIN_RUNTIME_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/opt.h"
#include "runtime/coll.h"

struct error;
struct exchange;
struct net;
struct part;

/* A tensor of the block: encoded by itself, with scales of its own. */
struct exchange_span {
	const char *name; /* for messages */
	size_t offset, count;
};

enum exchange_feedback { FEEDBACK_AUTO, FEEDBACK_NONE, FEEDBACK_CLASSIC };

/* Options common to all schemes: they stand beside the scheme's own in `compress:`. */
struct exchange_params {
	int feedback; /* enum exchange_feedback; AUTO: where the scheme is biased */
};

extern const struct opt exchange_options[];

struct exchange_env {
	struct net *net;	       /* borrowed */
	const struct part *compressor; /* borrowed */
	struct exchange_params params;
	enum coll_algorithm algorithm; /* of what adds up in flight */
	uint64_t seed;
	size_t count;			   /* of the block */
	size_t steps;			   /* of the training; 0: not known */
	const struct exchange_span *spans; /* borrowed: adjoining, in order, the whole block;
					    * NULL: it is one */
	size_t span_count;
};

struct exchange *exchange_new(const struct exchange_env *env);

/* x[count], which starts at `offset` of the block, becomes its sum (mean) over the group. Where
 * payloads are sums nothing is left of a vector, which then need not lie within the block.
 * A number that is not finite is an error that names the tensor. Steps never fall. Blocking; one
 * call at a time per exchange. */
int exchange_sum(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		 float *x, size_t count, struct error *err);
int exchange_mean(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		  float *x, size_t count, struct error *err);

/* What was encoded in the latest step: bits sent for a coordinate, owners' sums included, and the
 * level of a scheme that adapts; 0: nothing, and none. */
struct exchange_report {
	double bits, level;
};

struct exchange_report exchange_report(const struct exchange *exchange);

/* What error feedback has not yet sent, [count of the block], for checkpoints; NULL if there is
 * none. */
float *exchange_residual(struct exchange *exchange);
/* What the scheme has learnt of the steps so far, [*count], for checkpoints; NULL: nothing. */
float *exchange_state(struct exchange *exchange, size_t *count);
void exchange_free(struct exchange *exchange); /* may be NULL */

#endif
