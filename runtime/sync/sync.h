/*
 * When and with whom to synchronise: the interface of a strategy, and `sync`, which runs one for a
 * rank. Gradients travel in buckets on a communication thread while backward still computes.
 */
#ifndef DSTRAIN_RUNTIME_SYNC_H
#define DSTRAIN_RUNTIME_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/drift.h"
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

enum sync_stop {
	SYNC_GO_ON,
	SYNC_STOP, /* somebody wants it to, and may want it to go on later */
	SYNC_END   /* as if all steps were done */
};

/*
 * Where asynchronous ranks meet: in steps, counted over all ranks and divided by their number.
 */
struct sync_budget {
	size_t first, steps;		     /* done before this run; at the end */
	size_t eval_every, checkpoint_every; /* 0: only at the end */
	/* Rank 0 alone: whether the run is to end now. NULL: it is not. */
	enum sync_stop (*stop)(void *arg);
	void *arg;
};

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
	struct sync *sync;     /* for sync_tell and sync_wake */
	const double *share;   /* [world] each rank's part of a batch, from the first step on; NULL:
				  all alike */
	const size_t *samples; /* [world] that each rank has of its own; NULL: all draw from the
				* same */
	struct sync_budget budget;
	/* The mean training loss that any weights have on this rank's samples of a step, past or to
	 * come. On the training thread, from weights() alone; nothing is trained. */
	double (*loss)(void *arg, size_t step, const float *weight);
	void *loss_arg;
};

/* Of who mixes weights: sync_strategy.plain. */
#define SYNC_PLAIN_WEIGHTS                                                       \
	"sends its weights as they are; leave compress out, or take 'choco' or " \
	"'push_sum_compressed', which send compressed differences"

struct sync_strategy {
	struct entry entry;
	size_t state_size; /* the framework allocates the state zeroed and frees it */
	bool replicated;   /* after every step all ranks hold the same weights and slots */
	bool own_samples;  /* a rank's gradient is the mean over its own samples alone */
	bool differences;  /* compresses by exchange_average and exchange_neighbours alone, which
			    * need no residual */
	bool pairs; /* compresses messages for one rank each: no sums, in which factors would add up
		     */
	const char *plain; /* sends float32 alone, a scheme in a recipe is an error: what it says of
			    * the strategy, and the next step. NULL: compresses */
	bool chosen_by_plan; /* no strategy itself: the plan says which */
	double margin;	     /* of accuracy, in points, behind bsp where all ranks are as fast */
	/*
	 * Each rank goes at its own pace, and takes as many steps as it can. All of them meet at a
	 * cut only (sync_cut), between two steps of each, for an evaluation, a checkpoint, the end.
	 */
	bool asynchronous;
	/* Optional: whether sync_env.plan makes a difference with these params. */
	bool (*wants_plan)(const void *params);
	/* Optional. Whether these params cannot do without sync_env.links. */
	bool (*wants_links)(const void *params);
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
	/* Optional, asynchronous alone. Before the first step, on the training thread, with what a
	 * checkpoint had in state(): the weights that the run begins with, the same on all ranks.
	 * Nobody tells anything before all have returned. */
	int (*begin)(void *state, const float *weight, struct error *err);
	/*
	 * Optional, asynchronous alone. After weights(), on the training thread, and again after
	 * each sync_wake: 1 once the next step may begin; 0: not yet. May change the weights. Must
	 * not block for longer than messages that are on their way take to come.
	 */
	int (*go)(void *state, size_t step, float *weight, struct error *err);
	/*
	 * Optional, asynchronous alone. At a cut: all that was told has been served, and nobody
	 * tells anything before all have returned. Forgets what belongs to waiting, which begins
	 * anew: go() is called again if it had not said 1. On the training thread, of all ranks, so
	 * that it may be a collective; must not wait otherwise.
	 */
	int (*settle)(void *state, float *weight, struct error *err);
	/* Optional. Of the step that was done last, on the training thread: fills in what has a
	 * meaning for the strategy, but for waited_s. */
	void (*report)(void *state, struct drift *drift);
	/* Optional. An unsolicited message of a peer, on the progress thread; must not block. Tags
	 * are as given to sync_tell. */
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

/* Tags of a strategy's own messages: any below. */
#define SYNC_TAG_END (UINT64_C(1) << 48)
/* For strategies, from any thread: net_tell, counted, so that a cut can wait until it is served.
 * Not to this rank. */
int sync_tell(struct sync *sync, int peer, uint64_t tag, const void *bytes, size_t length,
	      struct error *err);
/* The same for weights and gradients, which count as payload. */
int sync_give(struct sync *sync, int peer, uint64_t tag, const void *bytes, size_t length,
	      struct error *err);
/* For strategies, from any thread: go() may have another answer now. Asynchronous strategies lock
 * their state themselves: serve() and the training thread's calls run at the same time. */
void sync_wake(struct sync *sync);
/* Seconds since the last sync_step. */
struct sync_times {
	double comm_s;	  /* the communication thread was busy, or weights() ran */
	double exposed_s; /* of it, the training thread waited */
	double waited_s;  /* for other ranks, of exposed_s: in sync_go */
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
/*
 * Of asynchronous strategies. sync_go: 1 once this rank's next step may begin; 0: a cut is due
 * first, and sync_go is to be called again after it. Blocks; fails once a peer is lost.
 */
int sync_go(struct sync *sync, float *weight, struct error *err);
struct sync_cut {
	size_t completed; /* steps, counted over all ranks and divided by their number */
	bool evaluate, save, stop;
};
/* A collective. Afterwards nothing is under way. */
int sync_cut(struct sync *sync, float *weight, struct sync_cut *cut, struct error *err);
/* The completed steps of all, as far as this rank knows: for what depends on progress. */
size_t sync_progress(const struct sync *sync);
size_t sync_steps(const struct sync *sync); /* that this rank has done, over all resumes */

/* The model that the ranks train, between steps: *mean is the mean of their weights, or `weight`
 * itself where all have the same. A collective; valid until the next one. */
int sync_mean(struct sync *sync, const float *weight, const float **mean, struct error *err);
struct sync_times sync_times(const struct sync *sync);
struct drift sync_drift(struct sync *sync); /* of the last step */
size_t sync_state(struct sync *sync, struct state_array *arrays);
void sync_free(struct sync *sync); /* may be NULL; call net_abort first if a step may be running */

#endif
