/*
 * Asynchronous decentralised parallel SGD: after each step a rank and one other, drawn at random,
 * move to the mean of both. Lian, Zhang, Zhang and Liu, "Asynchronous decentralized parallel
 * stochastic gradient descent", ICML 2018. Ranks at even places are active: they ask. Those at odd
 * ones are passive: their progress threads answer, while they compute, with the weights that they
 * published last, and move these; they take over how far at their next step. So no two wait for
 * each other. A passive rank that nobody asked in `alone` steps waits until somebody does, lest it
 * goes its own way where averages take longer than steps.
 */
#include "runtime/sync/sync.h"

#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/rng.h"

struct params {
	size_t alone;
};

static const struct opt options[] = { { "alone", OPT_COUNT, offsetof(struct params, alone), "4",
					"steps that a rank that is asked takes without an average",
					.min = 1, .max = 1e9 },
				      { 0 } };

/* Tags. An answer is empty while nothing is published. */
enum { ASK, ANSWER };

/* An active rank computes, waits for an answer, has averaged. */
enum stage { AWAY, ASKED, MET };

struct state {
	struct sync_env env;
	bool active;
	int world;
	size_t most_alone; /* steps */

	pthread_mutex_t lock; /* guards all below */
	enum stage stage;
	bool answered, alone;
	float *other;	  /* [count] the answer; passive: what was asked with */
	float *published; /* [count] of a passive rank, as moved since */
	float *moved;	  /* [count] how far */
	bool is_published;
	size_t steps_alone;
	size_t met, met_before; /* since the last step, and in the one before */
	double consensus;
	bool failed;
	struct error problem;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	size_t bytes = env->count * sizeof(float);

	(void)err;
	state->most_alone = ((const struct params *)params)->alone;
	state->env = *env;
	state->world = env->world->count;
	state->active = env->world->index % 2 == 0;
	pthread_mutex_init(&state->lock, NULL);
	state->other = xaligned(bytes);
	if (state->active)
		return 0;
	state->published = xaligned(bytes);
	state->moved = xaligned(bytes);
	return 0;
}

static void fail(struct state *state, const struct error *err)
{
	if (!state->failed)
		state->problem = *err;
	state->failed = true;
	sync_wake(state->env.sync);
}

static int check(const struct state *state, struct error *err)
{
	if (state->failed)
		*err = state->problem;
	return state->failed ? -1 : 0;
}

/* Half of what `other` has more than `weight`: how far the latter moves. Replaces `other`. */
static void halve(float *other, const float *weight, size_t count)
{
	cpu_axpy(other, -1, weight, count);
	cpu_scale(other, 0.5f, count);
}

/* A passive rank: both move to the mean of what is published and what came. */
static void answer(struct state *state, int peer, const void *bytes)
{
	size_t count = state->env.count, length = state->is_published ? count * sizeof(float) : 0;
	struct error err;

	if (sync_give(state->env.sync, peer, ANSWER, state->published, length, &err) < 0)
		fail(state, &err);
	if (!state->is_published)
		return;
	memcpy(state->other, bytes, length);
	halve(state->other, state->published, count);
	cpu_add(state->published, state->other, count);
	cpu_add(state->moved, state->other, count);
	state->met++;
	sync_wake(state->env.sync);
}

static void serve(void *memory, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct state *state = memory;
	size_t whole = state->env.count * sizeof(float);
	struct error err;

	pthread_mutex_lock(&state->lock);
	if (tag == ASK && length == whole && !state->active) {
		answer(state, peer, bytes);
	} else if (tag == ANSWER && (length == whole || length == 0) && state->stage == ASKED) {
		memcpy(state->other, bytes, length);
		state->answered = true;
		state->alone = length == 0;
		sync_wake(state->env.sync);
	} else {
		error_set(
			&err,
			"rank %d sent what is no part of an average of two; is it of this version?",
			peer);
		fail(state, &err);
	}
	pthread_mutex_unlock(&state->lock);
}

/* A passive rank takes over what others did to what it published, and publishes. */
static void publish(struct state *state, float *weight)
{
	size_t count = state->env.count;

	if (state->met > 0)
		state->consensus =
			sqrt(cpu_sum_squares(state->moved, count) / cpu_sum_squares(weight, count));
	cpu_add(weight, state->moved, count);
	memset(state->moved, 0, count * sizeof(*weight));
	memcpy(state->published, weight, count * sizeof(*weight));
	state->is_published = true;
	state->steps_alone = state->met > 0 ? 0 : state->steps_alone + 1;
	state->met_before = state->met;
	state->met = 0;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	int status;

	(void)step;
	pthread_mutex_lock(&state->lock);
	if (!state->active)
		publish(state, weight);
	status = check(state, err);
	pthread_mutex_unlock(&state->lock);
	return status;
}

/* One of the passive ranks. */
static int ask(struct state *state, size_t step, const float *weight, struct error *err)
{
	const struct group *world = state->env.world;
	struct rng rng = rng_make(state->env.seed, RNG_GRAPH, (uint64_t)world->index, step);
	uint64_t drawn = rng_below(&rng, 0, (uint64_t)(world->count / 2));

	state->stage = ASKED;
	state->answered = false;
	return sync_give(state->env.sync, world->ranks[2 * drawn + 1], ASK, weight,
			 state->env.count * sizeof(*weight), err);
}

static void take_answer(struct state *state, float *weight)
{
	size_t count = state->env.count;

	state->stage = MET;
	state->met_before = !state->alone;
	if (state->alone)
		return;
	halve(state->other, weight, count);
	cpu_add(weight, state->other, count);
	state->consensus =
		sqrt(cpu_sum_squares(state->other, count) / cpu_sum_squares(weight, count));
}

static int go_active(struct state *state, size_t step, float *weight, struct error *err)
{
	if (state->stage == AWAY && ask(state, step, weight, err) < 0)
		return -1;
	if (state->stage == ASKED && state->answered)
		take_answer(state, weight);
	if (state->stage != MET)
		return 0;
	state->stage = AWAY;
	return 1;
}

static int go(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	int status;

	if (state->world == 1)
		return 1;
	pthread_mutex_lock(&state->lock);
	status = check(state, err);
	if (status == 0 && state->active)
		status = go_active(state, step, weight, err);
	else if (status == 0)
		status = state->met > 0 || state->steps_alone < state->most_alone;
	pthread_mutex_unlock(&state->lock);
	return status;
}

/* Who asked has the answer by now. */
static int settle(void *memory, float *weight, struct error *err)
{
	struct state *state = memory;
	int status;

	pthread_mutex_lock(&state->lock);
	if (!state->active)
		publish(state, weight);
	else if (state->stage == ASKED && state->answered)
		take_answer(state, weight);
	status = check(state, err);
	pthread_mutex_unlock(&state->lock);
	return status;
}

static void report(void *memory, struct drift *drift)
{
	struct state *state = memory;

	pthread_mutex_lock(&state->lock);
	if (state->met_before > 0) {
		drift->participants = 2;
		drift->consensus = state->consensus;
	}
	drift->staleness = state->active ? 0 : (double)state->met_before;
	drift->staleness_most = drift->staleness;
	pthread_mutex_unlock(&state->lock);
}

static void fini(void *memory)
{
	struct state *state = memory;

	pthread_mutex_destroy(&state->lock);
	free(state->other);
	free(state->published);
	free(state->moved);
}

const struct sync_strategy sync_adpsgd = {
	.entry = { .name = "adpsgd",
		   .summary = "after a step a rank averages with one other, which need not wait",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.plain = SYNC_PLAIN_WEIGHTS,
	.asynchronous = true,
	.margin = 1,
	.init = init,
	.weights = weights,
	.go = go,
	.settle = settle,
	.report = report,
	.serve = serve,
	.fini = fini,
};
