/*
 * A local method, then a global one: Hou et al., "FedChain: Chained algorithms for near-optimal
 * communication cost in federated learning", ICLR 2022, algorithm 1. Ranks train as in fedavg,
 * which is fast until what they have in common is learnt; then all of them tell by the loss of the
 * same samples whether that is better than what training began with, and go on from the better one
 * with the gradient of all in every step. That may be accelerated: with Nesterov's momentum b the
 * weights w of a step are followed by w + b (w - w_before).
 */
#include "runtime/sync/sync.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"
#include "runtime/sync/round.h"

struct params {
	struct round_params round;
	double change_over, acceleration;
	size_t batches;
};

#define ROW(field) offsetof(struct params, field)

static const struct opt options[] = {
	{ ROUND_PERIOD },
	{ ROUND_CLIENTS },
	{ "switch", OPT_REAL, ROW(change_over), "0.5",
	  "part of the run's steps, in whole rounds, after which ranks sum their gradients",
	  .min = 0, .max = 1 },
	{ "batches", OPT_COUNT, ROW(batches), "4",
	  "batches of each rank that decide whether the local phase was of use", .min = 1,
	  .max = 1e6 },
	{ "acceleration", OPT_REAL, ROW(acceleration), "0",
	  "Nesterov's momentum of the weights, after the switch", .min = 0, .max = 0.9999 },
	{ 0 }
};

struct state {
	struct round round; /* its model: after the switch, the weights of the step before */
	size_t batches;
	float acceleration;
	size_t local_steps;
	float switched; /* 1: gradients are summed */
	float *first;	/* [count] what training began with */
};

/* Half a period more or less than asked for. */
static size_t whole_rounds(double part, size_t steps, size_t period)
{
	return part < 1 ? (size_t)llround(part * (double)steps / (double)period) * period : steps;
}

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;

	state->batches = given->batches;
	state->acceleration = (float)given->acceleration;
	state->local_steps =
		whole_rounds(given->change_over, env->budget.steps, given->round.period);
	state->first = xaligned(env->count * sizeof(*state->first));
	return round_init(&state->round, &given->round, env, err);
}

static int average(void *memory, size_t step, const float *weight, struct error *err)
{
	struct state *state = memory;

	if (state->round.begun == 0)
		memcpy(state->first, weight, state->round.env.count * sizeof(*weight));
	if (step >= state->local_steps)
		state->switched = 1;
	return round_begin(memory, step, weight, err);
}

static int gradients(void *memory, size_t step, size_t offset, float *grad, size_t count,
		     struct error *err)
{
	const struct state *state = memory;
	const struct sync_env *env = &state->round.env;

	if (state->switched == 0)
		return 0;
	if (env->share || env->samples)
		cpu_scale(grad, round_part(&state->round, env->world), count);
	return exchange_mean(env->exchange, env->world, step, offset, grad, count, err);
}

/* The samples are those of the next steps: nobody has trained on them because of their turn. */
static double loss_of(const struct state *state, size_t step, const float *weight)
{
	const struct sync_env *env = &state->round.env;
	double sum = 0;

	for (size_t i = 1; i <= state->batches; i++)
		sum += env->loss(env->loss_arg, step + i, weight);
	return sum / (double)state->batches;
}

/* All ranks add up the same numbers and choose the same. */
static int choose(struct state *state, size_t step, struct error *err)
{
	const struct sync_env *env = &state->round.env;
	float *model = state->round.model, part = round_part(&state->round, env->world);
	float losses[] = { part * (float)loss_of(state, step, state->first),
			   part * (float)loss_of(state, step, model) };

	if (coll_allreduce(env->net, env->world, COLL_AUTO, losses, ARRAY_SIZE(losses), err) < 0)
		return -1;
	if (!isfinite(losses[1]) || losses[0] <= losses[1])
		memcpy(model, state->first, env->count * sizeof(*model));
	return 0;
}

/* What the optimizer knows is of a way that ended. */
static int change_over(struct state *state, size_t step, float *weight, struct error *err)
{
	const struct sync_env *env = &state->round.env;

	if (choose(state, step, err) < 0)
		return -1;
	memcpy(weight, state->round.model, env->count * sizeof(*weight));
	for (size_t i = 0; i < env->slot_count; i++)
		memset(env->slots[i], 0, env->count * sizeof(float));
	return 0;
}

static void accelerate(struct state *state, float *weight)
{
	float *before = state->round.model;

	for (size_t i = 0; i < state->round.env.count; i++) {
		float stepped = weight[i];

		weight[i] += state->acceleration * (stepped - before[i]);
		before[i] = stepped;
	}
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	bool ends = round_ends(&state->round, step);

	if (state->switched != 0) {
		state->round.ended = false;
		if (state->acceleration > 0)
			accelerate(state, weight);
		return 0;
	}
	if (ends && round_average(&state->round, step, weight, err) < 0)
		return -1;
	if (step + 1 == state->local_steps && step + 1 < state->round.env.budget.steps)
		return change_over(state, step, weight, err);
	return 0;
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;
	size_t count = round_state(&state->round, arrays);

	arrays[count++] = (struct state_array){ "first", state->first, state->round.env.count };
	arrays[count++] = (struct state_array){ "switched", &state->switched, 1 };
	return count;
}

static void fini(void *memory)
{
	struct state *state = memory;

	round_release(&state->round);
	free(state->first);
}

const struct sync_strategy sync_fedchain = {
	.entry = { .name = "fedchain",
		   .summary = "fedavg, then what is better, it or the begin, goes on as with bsp",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.margin = 2,
	.init = init,
	.average = average,
	.gradients = gradients,
	.weights = weights,
	.report = round_report,
	.state = arrays_of,
	.fini = fini,
};
