/*
 * When and with whom to synchronise: the interface of a strategy, and `sync`, which runs one for a
 * rank. Gradients travel in buckets on a communication thread while backward still computes.
 */
#ifndef DSTRAIN_RUNTIME_SYNC_H
#define DSTRAIN_RUNTIME_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/opt.h"
#include "lib/registry.h"
#include "runtime/coll.h"
#include "runtime/state_array.h"

struct error;
struct exchange;
struct links;
struct net;
struct plan;
struct plan_env;
struct sync;

/* What a strategy may use. Borrowed until fini. */
struct sync_env {
	struct exchange *exchange;
	struct net *net;	   /* for unsolicited messages (net_tell) */
	const struct group *world; /* all ranks, in the order of the plan if it has one for them */
	const struct plan *plan;   /* who synchronises with whom; NULL: none was made */
	const struct links *links; /* what it was made from; NULL: unknown */
	const int *host_of;	   /* [world] each rank's host there */
	size_t count;		   /* parameters */
	uint64_t seed;
	float *const *slots; /* [slot_count] blocks of the optimizer's state, [count] floats each */
	size_t slot_count;
};

struct sync_strategy {
	struct entry entry;
	size_t state_size;   /* the framework allocates the state zeroed and frees it */
	bool replicated;     /* after every step all ranks hold the same weights and slots */
	bool own_samples;    /* a rank's gradient is the mean over its own samples alone */
	bool differences;    /* compresses by exchange_average alone, which needs no residual */
	bool chosen_by_plan; /* no strategy itself: the plan says which */
	/* Optional: whether sync_env.plan makes a difference with these params. */
	bool (*wants_plan)(const void *params);
	/* Optional. What a plan has to know of these params: `momentum`, `ds_overlap`. */
	void (*foresee)(const void *params, struct plan_env *env);

	int (*init)(void *state, const void *params, const struct sync_env *env, struct error *err);
	/* Optional. After backward, on the communication thread, once per bucket and in the same
	 * order on all ranks: grad[count] at `offset` of the block. This rank's gradient is already
	 * divided by the samples of all ranks, so that the sum over ranks is the batch's mean,
	 * unless `own_samples`. */
	int (*gradients)(void *state, size_t step, size_t offset, float *grad, size_t count,
			 struct error *err);
	/* Optional. On the communication thread, from before forward of a step until
	 * sync_gradients returns: the weights that the step begins with, to be read alone. */
	int (*average)(void *state, size_t step, const float *weight, struct error *err);
	/* Optional. After the optimizer's update, on the training thread: all parameters. */
	int (*weights)(void *state, size_t step, float *weight, struct error *err);
	/* Optional. An unsolicited message of a peer, on the progress thread; must not block. */
	void (*serve)(void *state, int peer, uint64_t tag, const void *bytes, size_t length);
	/* Optional. Fills arrays[] (at most STATE_ARRAYS) and returns how many. */
	size_t (*state)(void *state, struct state_array *arrays);
	void (*fini)(void *state); /* optional; also after a failed init */
};

/* In which order all ranks stand in a ring. */
enum sync_order { SYNC_ORDER_GIVEN, SYNC_ORDER_PLANNED };

/* Options common to all strategies: they stand beside the strategy's own in `sync:`. */
struct sync_params {
	int allreduce; /* enum coll_algorithm */
	int order;     /* enum sync_order */
	size_t bucket_bytes;
};

extern const struct opt sync_options[];
extern const struct registry sync_strategies;

/* Seconds since the last sync_step. */
struct sync_times {
	double comm_s;	  /* the communication thread was busy, or weights() ran */
	double exposed_s; /* of it, the training thread waited */
};

int sync_new(struct sync **out, const struct part *strategy, const struct sync_params *params,
	     const struct sync_env *env, struct error *err);
/* Starts a step, before forward, with weight[env->count], which nobody changes before
 * sync_gradients returned, and a gradient block grad[env->count], scaled as above. */
void sync_step(struct sync *sync, size_t step, const float *weight, float *grad);
/* grad[offset .. offset+count) is final. Called in falling, adjoining order from the block's end
 * to 0, as backward yields them. Does not block. */
void sync_ready(struct sync *sync, size_t offset, size_t count);
/* Waits until the weights are averaged and every bucket is exchanged. */
int sync_gradients(struct sync *sync, struct error *err);
int sync_weights(struct sync *sync, size_t step, float *weight, struct error *err);
/* The model that the ranks train, between steps: *mean is the mean of their weights, or `weight`
 * itself where all have the same. A collective; valid until the next one. */
int sync_mean(struct sync *sync, const float *weight, const float **mean, struct error *err);
struct sync_times sync_times(const struct sync *sync);
size_t sync_state(struct sync *sync, struct state_array *arrays);
void sync_free(struct sync *sync); /* may be NULL; call net_abort first if a step may be running */

#endif
