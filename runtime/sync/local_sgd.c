/*
 * Each rank trains alone and the weights are averaged every `period` steps: Stich, "Local SGD
 * converges fast and communicates little", ICLR 2019. Optimizer state stays local.
 */
#include "runtime/sync/sync.h"

#include "runtime/sync/reference.h"

struct params {
	size_t period;
};

static const struct opt options[] = { { "period", OPT_COUNT, offsetof(struct params, period), "16",
					"steps between averages", .min = 1, .max = 1e9 },
				      { 0 } };

struct state {
	struct sync_env env;
	size_t period;
	struct references references;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;

	(void)err;
	state->env = *env;
	state->period = given->period;
	state->references = references_new(env, 1);
	return 0;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	const struct sync_env *env = &state->env;

	if ((step + 1) % state->period != 0)
		return 0;
	return reference_average(&state->references, env, env->world, 0, step, weight, err);
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;

	return references_state(&state->references, arrays);
}

static void fini(void *memory)
{
	struct state *state = memory;

	references_release(&state->references);
}

const struct sync_strategy sync_local_sgd = {
	.entry = { .name = "local_sgd",
		   .summary = "ranks train alone, weights are averaged every period steps",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.differences = true,
	.init = init,
	.weights = weights,
	.state = arrays_of,
	.fini = fini,
};
