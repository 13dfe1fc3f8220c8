/*
 * The only place where compressors meet the wire: residual, encode, collective, decode. Vectors
 * are parts of a block of `count` floats (all parameters or gradients), told apart by their offset.
 *
 * What does not add up in flight travels in one of three ways, chosen by what the group's messages
 * cost: everybody's whole vector to everybody; or slices to their owners, who add them, encode the
 * sum and hand it out (a compressed reduce-scatter and allgather); or the coordinates that are sent
 * are added up as pairs (runtime/coll_sparse.h), exactly. All members decode the same bytes in the
 * same order, and so have the same bits. Where sums are hierarchical, that is done among those who
 * hold a piece of their part's sum, and floats travel within the parts.
 *
 * What adds up as factors of matrices rides allreduces (runtime/exchange_factors.c).
 *
 * With error feedback (runtime/residual.h) a rank adds to what it encodes what earlier steps left
 * out: of a vector before it is sent, of a sum before its owner hands it out. Either is a debt to
 * the sum, so that one array holds both; the sum of what came out, and of all ranks' residuals, is
 * the sum of what went in.
 */
#ifndef DSTRAIN_RUNTIME_EXCHANGE_H
#define DSTRAIN_RUNTIME_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/opt.h"
#include "runtime/coder.h"
#include "runtime/coll.h"
#include "runtime/compress/compress.h"
#include "runtime/state_array.h"

struct error;
struct exchange;
struct net;
struct part;

/* How what does not add up in flight is summed. */
enum exchange_collective { EXCHANGE_AUTO, EXCHANGE_GATHER, EXCHANGE_OWNERS, EXCHANGE_SPARSE };

/* Options common to all schemes: they stand beside the scheme's own in `compress:`. */
struct exchange_params {
	int feedback; /* 0: as it suits the scheme; else enum feedback + 1 */
	double momentum;
	int collective; /* enum exchange_collective */
};

extern const struct opt exchange_options[];

struct exchange_env {
	struct net *net; /* borrowed */
	struct exchange_params params;
	bool differences; /* exchange_average and exchange_neighbours alone, which need no
			   * feedback */
	enum coll_algorithm algorithm; /* of what adds up in flight */
	size_t count;		       /* of the block */
	struct coder_env coder;	       /* rank and count are filled in */
};

/* What the params mean for a scheme. */
enum feedback exchange_feedback(const struct exchange_params *params,
				const struct part *compressor);

struct exchange *exchange_new(const struct exchange_env *env);

/* x[count], which starts at `offset` of the block, becomes its sum (mean) over the group. Where
 * payloads are sums nothing is left of a vector, which then need not lie within the block.
 * Of votes the sum is what most members say, plus or minus one, plus if as many say either, and so
 * is the mean. A number that is not finite is an error that names the tensor. Steps never fall.
 * Blocking; one call at a time per exchange. */
int exchange_sum(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		 float *x, size_t count, struct error *err);
int exchange_mean(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		  float *x, size_t count, struct error *err);

/* Whether what comes out is not what went in. */
bool exchange_is_lossy(const struct exchange *exchange);

/*
 * x[count of the block] moves towards its mean over the group by differences to a reference, which
 * are small where weights are not: x_i += mean_j Q(x_j - r) - Q(x_i - r), r += mean_j Q(x_j - r),
 * where Q is the payload times the factor that brings it nearest to what it stands for: votes are
 * signs of one size here, and nobody counts them.
 * After Koloskova, Stich and Jaggi, "Decentralized stochastic optimization and gossip algorithms
 * with compressed communication", ICML 2019, with r in common instead of one for each member. What
 * Q leaves out stays in x_i, so that no residual is needed and the mean of x stays what it was.
 * Of matrices that travel as factors Q is what lies in the columns of P, which all members have in
 * common and which is drawn anew from the seed and the step: groups change.
 * reference[count] has the same bits on all members, before and after. Where nothing is lost x
 * becomes the mean, and the reference (may be NULL) is left alone.
 */
int exchange_average(struct exchange *exchange, const struct group *group, size_t step, float *x,
		     float *reference, struct error *err);

/* With whom a member of a group exchanges, by their places there. */
struct exchange_edges {
	const bool *to;	     /* [group->count] who is told; not this one */
	const float *weight; /* [group->count] of what each tells, and of this one's own; 0: who
			      * tells this one nothing */
};

/*
 * x[count of the block] and riders[], a few numbers that are never compressed, go to some members,
 * and become what those are told: x itself if `exact` or where nothing is lost, else Q(x), as
 * above. sum[count] gains what was told, times the weights, in the order of the group; riders[]
 * become such sums. Waits for those who tell this one something, and for nobody else. No scheme may
 * have factors, of which there is no product in a message.
 */
struct exchange_told {
	float *x, *sum;
	float *riders; /* [rider_count]; may be NULL if that is 0 */
	size_t rider_count;
	bool exact;
};
int exchange_neighbours(struct exchange *exchange, const struct group *group, size_t step,
			const struct exchange_edges *edges, const struct exchange_told *told,
			struct error *err);

/*
 * Updates that one rank adds up as they come, by messages that the caller carries. An update
 * x[count], which is block[offset ..), goes with the feedback of sums, and becomes what the message
 * says; also the one that a rank keeps for itself, so that all are alike. Nobody counts votes: they
 * are signs of one size. No scheme may have factors.
 */
struct exchange_update {
	int to; /* which rank */
	size_t step, offset;
	float *x;
	size_t count;
};
size_t exchange_push_bound(const struct exchange *exchange, size_t offset, size_t count);
/* The length of the message, at most that bound; 0 and err. Steps never fall. */
size_t exchange_push(struct exchange *exchange, const struct exchange_update *update,
		     unsigned char *message, struct error *err);
/* What rank `from` pushed of block[offset .. offset + count): y, or the message itself, as floats
 * at any address. NULL and err, which names the rank, if it cannot have. From any thread. */
const void *exchange_pushed(const struct exchange *exchange, int from, const unsigned char *message,
			    size_t length, size_t offset, float *y, size_t count,
			    struct error *err);

/* What error feedback has not yet sent, [count of the block]; NULL if there is none. */
float *exchange_residual(struct exchange *exchange);
/* For checkpoints: fills arrays[] (at most STATE_ARRAYS) and returns how many. */
size_t exchange_state(struct exchange *exchange, struct state_array *arrays);
struct coder_report exchange_report(const struct exchange *exchange);
/* Payload bytes that float32 would have sent so far, by the collectives of exchange_mean, beyond
 * what was sent; negative if it is fewer. */
int64_t exchange_saved(const struct exchange *exchange);
void exchange_free(struct exchange *exchange); /* may be NULL */

#endif
