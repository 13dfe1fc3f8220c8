/*
 * Rounds: ranks train alone for a period, then some of them, the clients of the round, average
 * what they have, and all begin the next round with that.
 */
#ifndef DSTRAIN_RUNTIME_ROUND_H
#define DSTRAIN_RUNTIME_ROUND_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/coll.h"
#include "runtime/sync/sync.h"

struct round_params {
	size_t period;	/* steps */
	size_t clients; /* 0: all ranks */
};

/* Rows for strategies whose params begin with a struct round_params. */
#define ROUND_PERIOD                                                                          \
	"period", OPT_COUNT, offsetof(struct round_params, period), "16", "steps of a round", \
		.min = 1, .max = 1e9
#define ROUND_CLIENTS                                                      \
	"clients", OPT_COUNT, offsetof(struct round_params, clients), "0", \
		"ranks that count in a round, drawn anew for each; 0: all", .min = 0, .max = 65535

/* First in the state of a strategy. Zeroed is valid. */
struct round {
	struct sync_env env;
	struct round_params params;
	float *model; /* [count] what a round began with: the same bits on all ranks */
	float *debt;  /* [count] what compression left out of this rank's parts; NULL: nothing is */
	float begun;  /* 1: `model` is known */
	const float *weight; /* what a step begins with, until its gradients are exchanged */

	/* Of the round that ended last. */
	bool ended; /* with the last step */
	bool is_client;
	struct group clients;	/* its index is -1 on others */
	struct group audience;	/* a client, and those who hear from it; this rank is one of them */
	int *drawn, *not_drawn; /* [world] ranks */
	int *hearing;		/* [world] those of the audience */
};

int round_init(struct round *round, const struct round_params *params, const struct sync_env *env,
	       struct error *err);
/* Once for each step: whether a round ends with it. Then all below is of that round. */
bool round_ends(struct round *round, size_t step);
/*
 * weight[count] and round->model become the mean over the clients, weighted by their samples, or
 * come near to it. Others only receive it, and what they have trained is lost. What compression
 * leaves out of a client's part is added to its next one.
 */
int round_average(struct round *round, size_t step, float *weight, struct error *err);
/* By how much this rank's samples count in a mean over a group of which it is: 1 on average. */
float round_part(const struct round *round, const struct group *group);
/* x[count] of the clients, which all have the same, goes to the others; each tells its part of
 * them, so that no link carries it more often than it must. */
int round_tell(struct round *round, float *x, struct error *err);

/* Of sync_strategy, for those that need no more; `state` begins with a struct round. */
int round_begin(void *state, size_t step, const float *weight, struct error *err); /* average */
void round_report(void *state, struct drift *drift);
size_t round_state(void *state, struct state_array *arrays);
void round_release(void *state); /* fini */

#endif
