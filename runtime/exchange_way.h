/* The ways in which a vector that does not add up in flight is summed: one file each. */
#ifndef DSTRAIN_RUNTIME_EXCHANGE_WAY_H
#define DSTRAIN_RUNTIME_EXCHANGE_WAY_H

#include <stddef.h>

#include "runtime/coll_round.h"
#include "runtime/exchange.h"
#include "runtime/sparse_vector.h"

struct coll_sparse;
struct factors;
struct residual;

/*
 * Vectors travel in segments, of at most so many elements, each with pieces of tensors that are
 * encoded by themselves: one is encoded, and another one decoded, while others are on their way.
 * With n members, n messages in either direction wait in memory for each of EXCHANGE_DEPTH
 * segments, and as many again of sums: at most EXCHANGE_DEPTH * 3 n * coder_bound of a segment,
 * however long vectors are.
 */
enum { EXCHANGE_SEGMENT = 64 << 10, EXCHANGE_DEPTH = 2 };

struct exchange {
	struct exchange_env env;
	struct coder *coder;
	struct residual *residual;
	struct factors *factors; /* NULL: no scheme has any */
	float *difference;	 /* [2 * env.count], of exchange_average, and what was sent of it */
	float *sent;		/* [EXCHANGE_SEGMENT], as decoded for one peer; NULL until needed */
	unsigned char *message; /* as long as the longest so far needs */
	size_t room;
	size_t *numbers;	    /* [4 * world]: bounds, or starts and lengths */
	bool acts_alone;	    /* a group of one is no copy: there are votes, or momentum */
	struct coll_sparse *sparse; /* NULL until it is needed */
	struct sparse_vector pairs;
	struct coll_round *slices[EXCHANGE_DEPTH], *sums[EXCHANGE_DEPTH];
	int64_t saved; /* bytes: see exchange_saved */
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
/* Segment k of `segments`, and the part of `of` that starts at element `start`. */
struct vector exchange_segment(const struct vector *vector, size_t segments, size_t k);
struct vector exchange_part(const struct vector *of, size_t start, size_t count);
/* How messages for all, `bytes` of all members together, travel: on a ring where that takes no
 * longer, since it crosses a link that pairs share least often. */
enum coll_way exchange_way(const struct group *group, size_t bytes);
/* What a peer sent is added to y. */
int exchange_decode(struct exchange *exchange, int rank, const unsigned char *message,
		    size_t length, size_t offset, float *y, size_t count, struct error *err);
/* After a failure: aborts the net, and nothing is under way any more. */
int exchange_give_up(struct exchange *exchange, const struct error *err);

/* How segments become messages. */
struct exchange_codec {
	void *arg;
	size_t extra; /* bytes of a message beyond what the coder needs */
	/* The length; 0 and err. */
	size_t (*encode)(struct exchange *exchange, const struct vector *due, void *arg,
			 unsigned char *message, struct error *err);
	/* Adds what `rank` sent to sum->x. */
	int (*decode)(struct exchange *exchange, const struct vector *sum, int rank,
		      const unsigned char *message, size_t length, struct error *err);
};

/* Everybody's vector to everybody: sums[] becomes what is decoded of all, due->x (which may be the
 * same memory) is encoded. */
int exchange_gather_by(struct exchange *exchange, const struct exchange_codec *codec,
		       const struct vector *due, float *sums, struct error *err);

/* Differences, of weights for one: a payload behind a factor, if `sized` that which brings it
 * nearest to what it stands for, else 1. sent[difference->count] becomes what the message says; its
 * length; 0 and err. */
enum { EXCHANGE_FACTOR = sizeof(float) };
size_t exchange_encode_difference(struct exchange *exchange, const struct vector *difference,
				  bool sized, float *sent, unsigned char *message,
				  struct error *err);
/* sum->x gains `weight` times what `rank` sent. */
int exchange_decode_difference(const struct exchange *exchange, const struct vector *sum, int rank,
			       const unsigned char *message, size_t length, float weight,
			       struct error *err);

/* For votes that depend on what is largest on all ranks: asks them. x is what will be encoded of
 * the vector. */
int exchange_agree(struct exchange *exchange, const struct vector *vector, const float *x,
		   struct error *err);

/* What travels in messages: the next run of adjoining tensors of the vector, from *span on, which
 * is 0 at first; false: there is none. The whole vector where no scheme has factors. */
bool exchange_next_opaque(const struct exchange *exchange, const struct vector *vector,
			  size_t *span, struct vector *run);

/* NULL if no scheme has factors; after exchange->coder. */
struct factors *exchange_factors_new(const struct exchange *exchange);
size_t exchange_factors_state(struct factors *factors, struct state_array *arrays);
void exchange_factors_free(struct factors *factors); /* may be NULL */
/* What travels in no message becomes the sum. With `weights` [count of the block], which are being
 * averaged by differences, what this rank contributed is taken out of them; without (NULL), out of
 * what the rank owes, and the next step starts from this one's factors. */
int exchange_factors(struct exchange *exchange, const struct vector *vector, float *weights,
		     struct error *err);

/* vector->x becomes the sum. */
int exchange_messages(
	struct exchange *exchange, const struct vector *vector,
	struct error *err); /* whichever of the following costs least, or was asked for */
int exchange_across(struct exchange *exchange, const struct vector *vector,
		    struct error *err); /* messages across the group's parts alone */
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
