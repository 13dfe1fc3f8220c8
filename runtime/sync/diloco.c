/*
 * Each rank trains alone for a period; what that changed, on average, is the gradient of an outer
 * optimizer, which has Nesterov's momentum: Douillard et al., "DiLoCo: Distributed
 *low-communication training of language models", arXiv 2311.08105, algorithm 1. With the change d
 *of a round, which took the model to its mean:
 *
 *	v = outer_momentum * v + d
 *	model = mean + (outer_lr - 1) * d + outer_lr * outer_momentum * v
 */
#include "runtime/sync/sync.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/sync/round.h"

struct params {
	struct round_params round;
	double outer_lr, outer_momentum;
};

#define ROW(field) offsetof(struct params, field)

static const struct opt options[] = {
	{ ROUND_PERIOD },
	{ "outer_lr", OPT_REAL, ROW(outer_lr), "0.7",
	  "learning rate of the outer optimizer; 1 with no momentum takes the mean as it is",
	  .min = 0, .max = 10 },
	{ "outer_momentum", OPT_REAL, ROW(outer_momentum), "0.9", "Nesterov's, from round to round",
	  .min = 0, .max = 0.9999 },
	{ 0 }
};

struct state {
	struct round round;
	float lr, momentum;
	float *velocity; /* [count] */
	float *before;	 /* [count] the model of the round that ends */
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;

	state->lr = (float)given->outer_lr;
	state->momentum = (float)given->outer_momentum;
	state->velocity = xaligned(env->count * sizeof(*state->velocity));
	state->before = xaligned(env->count * sizeof(*state->before));
	memset(state->velocity, 0, env->count * sizeof(*state->velocity));
	return round_init(&state->round, &given->round, env, err);
}

static void outer_step(struct state *state)
{
	float *model = state->round.model;

	for (size_t i = 0; i < state->round.env.count; i++) {
		float change = model[i] - state->before[i], *velocity = &state->velocity[i], more;

		*velocity = state->momentum * *velocity + change;
		more = (state->lr - 1) * change + state->lr * state->momentum * *velocity;
		model[i] += more;
	}
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;

	if (!round_ends(&state->round, step))
		return 0;
	memcpy(state->before, state->round.model, state->round.env.count * sizeof(*weight));
	if (round_average(&state->round, step, weight, err) < 0)
		return -1;
	outer_step(state);
	memcpy(weight, state->round.model, state->round.env.count * sizeof(*weight));
	return 0;
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;
	size_t count = round_state(&state->round, arrays);

	arrays[count++] =
		(struct state_array){ "velocity", state->velocity, state->round.env.count };
	return count;
}

static void fini(void *memory)
{
	struct state *state = memory;

	round_release(&state->round);
	free(state->velocity);
	free(state->before);
}

const struct sync_strategy sync_diloco = {
	.entry = { .name = "diloco",
		   .summary = "local_sgd, and an outer optimizer with momentum makes the averages",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.differences = true,
	.margin = 4,
	.init = init,
	.average = round_begin,
	.weights = weights,
	.report = round_report,
	.state = arrays_of,
	.fini = fini,
};
