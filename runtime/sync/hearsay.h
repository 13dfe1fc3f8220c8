/*
 * What neighbours know of a vector of this rank, and what it hears of theirs: they tell each other
 * compressed differences (Koloskova, Stich and Jaggi, "Decentralized stochastic optimization and
 * gossip algorithms with compressed communication", ICML 2019). With x_i, what is known of it
 * xhat_i, and weights of the mixing P:
 *
 *	q_i   = Q(x_i - xhat_i), told to the neighbours
 *	xhat_j += q_j		for them and itself
 *
 * Of the neighbours' xhat only the sum s_i = sum_j P_ij xhat_j is kept. At first everything is
 * told, and now and then again, so that what sums round off does not add up.
 */
#ifndef DSTRAIN_RUNTIME_HEARSAY_H
#define DSTRAIN_RUNTIME_HEARSAY_H

#include "runtime/sync/gamma.h"
#include "runtime/sync/mixing.h"
#include "runtime/sync/sync.h"

struct hearsay {
	struct sync_env env;
	struct mixing mixing;
	struct gamma gamma;
	float *known;  /* [env.count], xhat_i */
	float *heard;  /* [env.count], s_i */
	float *change; /* [env.count], scratch */
};

/* Takes `mixing` over. gamma: as given; 0: found out. */
struct hearsay hearsay_new(const struct sync_env *env, struct mixing mixing, double gamma);
void hearsay_release(struct hearsay *hearsay);
/* Blocks until all neighbours have told, too. *mass goes along, and becomes the sum of the
 * neighbours' times their weights; NULL: none. first: nobody knows anything yet. */
int hearsay_tell(struct hearsay *hearsay, size_t step, const float *x, bool first, float *mass,
		 struct error *err);
/* x += gamma (s - xhat). The square of s - xhat. */
double hearsay_mix(struct hearsay *hearsay, float *x);
/* change = a - b; its square. */
double hearsay_subtract(struct hearsay *hearsay, const float *a, const float *b);
/* For sync_strategy.state: three arrays. */
size_t hearsay_state(struct hearsay *hearsay, struct state_array *arrays);

#endif
