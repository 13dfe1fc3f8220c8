/*
 * Each rank trains alone and the weights are averaged every `period` steps: Stich, "Local SGD
 * converges fast and communicates little", ICLR 2019. Optimizer state stays local. The period may
 * follow how far ranks come apart, after Jiang and Agrawal, "Adaptive periodic averaging",
 * arXiv 2007.06134: all measure that at each average, and so have the same period.
 */
#include "runtime/sync/sync.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/sync/reference.h"

struct params {
	size_t period, longest;
	double divergence;
};

#define ROW(field) offsetof(struct params, field)

static const struct opt options[] = {
	{ "period", OPT_COUNT, ROW(period), "16",
	  "steps between averages; the first ones, if it adapts", .min = 1, .max = 1e9 },
	{ "divergence", OPT_REAL, ROW(divergence), "0",
	  "the period grows while ranks are nearer to their mean than this part of its size, and "
	  "halves when they are not; 0: it stays",
	  .min = 0, .max = 1 },
	{ "longest", OPT_COUNT, ROW(longest), "256", "steps to which the period grows", .min = 1,
	  .max = 1e6 },
	{ 0 }
};

struct state {
	struct sync_env env;
	struct params params;
	struct references references;
	float pace[2];	 /* where the period adapts: it, and the steps since the last average */
	float *before;	 /* [count] what an average took this rank away from; NULL: no adapting */
	bool met;	 /* in the last step */
	double distance; /* to the mean, when they met; relative to its size */
};

enum { PERIOD, SINCE };

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;

	state->env = *env;
	state->params = *(const struct params *)params;
	state->distance = NAN;
	if (state->params.divergence > 0) {
		if (state->params.period > state->params.longest)
			return error_set(err, "sync.longest: %zu is less than sync.period, %zu",
					 state->params.longest, state->params.period);
		state->before = xaligned(env->count * sizeof(*state->before));
		state->pace[PERIOD] = (float)state->params.period;
	}
	state->references = references_new(env, 1);
	return 0;
}

/* By a quarter up, by half down: what is too long costs accuracy, what is too short only time. */
static void adapt(struct state *state, double divergence)
{
	size_t period = (size_t)state->pace[PERIOD];

	if (divergence <= state->params.divergence)
		period += period / 4 + 1;
	else if (divergence > state->params.divergence)
		period = period / 2;
	if (period < 1)
		period = 1;
	if (period > state->params.longest)
		period = state->params.longest;
	state->pace[PERIOD] = (float)period;
}

/* What is computed of the mean and of sums has the same bits on all ranks. */
static int measure(struct state *state, const float *weight, struct error *err)
{
	const struct sync_env *env = &state->env;
	const float *mean = state->references.x ? state->references.x : weight;
	double size = cpu_sum_squares(mean, env->count);
	float squares;

	cpu_axpy(state->before, -1, mean, env->count);
	squares = (float)cpu_sum_squares(state->before, env->count);
	state->distance = sqrt((double)squares / size);
	if (coll_allreduce(env->net, env->world, COLL_AUTO, &squares, 1, err) < 0)
		return -1;
	adapt(state, sqrt((double)squares / env->world->count / size));
	return 0;
}

static bool is_due(struct state *state, size_t step)
{
	if (!state->before)
		return (step + 1) % state->params.period == 0;
	state->pace[SINCE]++;
	if (state->pace[SINCE] < state->pace[PERIOD])
		return false;
	state->pace[SINCE] = 0;
	return true;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	const struct sync_env *env = &state->env;

	state->met = is_due(state, step);
	if (!state->met)
		return 0;
	if (state->before)
		memcpy(state->before, weight, env->count * sizeof(*weight));
	if (reference_average(&state->references, env, env->world, 0, step, weight, err) < 0)
		return -1;
	return state->before ? measure(state, weight, err) : 0;
}

static void report(void *memory, struct drift *drift)
{
	const struct state *state = memory;

	if (!state->met)
		return;
	drift->participants = state->env.world->count;
	drift->consensus = state->distance;
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;
	size_t count = references_state(&state->references, arrays);

	if (state->before)
		arrays[count++] = (struct state_array){ "pace", state->pace, 2 };
	return count;
}

static void fini(void *memory)
{
	struct state *state = memory;

	references_release(&state->references);
	free(state->before);
}

const struct sync_strategy sync_local_sgd = {
	.entry = { .name = "local_sgd",
		   .summary = "ranks train alone, weights are averaged every period steps",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.differences = true,
	.margin = 2,
	.init = init,
	.weights = weights,
	.report = report,
	.state = arrays_of,
	.fini = fini,
};
