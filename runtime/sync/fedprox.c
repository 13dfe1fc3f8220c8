/*
 * fedavg, and what draws a rank back to the weights that its round began with: Li et al.,
 * "Federated optimization in heterogeneous networks", MLSys 2020. The loss has mu/2 |w - w_round|^2
 * more, the gradient mu (w - w_round).
 */
#include "runtime/sync/sync.h"

#include "runtime/sync/round.h"

struct params {
	struct round_params round;
	double mu;
};

static const struct opt options[] = {
	{ ROUND_PERIOD },
	{ ROUND_CLIENTS },
	{ "mu", OPT_REAL, offsetof(struct params, mu), "0.01",
	  "how strongly weights are drawn back to those that their round began with", .min = 0,
	  .max = 1e3 },
	{ 0 }
};

struct state {
	struct round round;
	float mu;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;

	state->mu = (float)given->mu;
	return round_init(&state->round, &given->round, env, err);
}

static int gradients(void *memory, size_t step, size_t offset, float *grad, size_t count,
		     struct error *err)
{
	const struct state *state = memory;
	const float *weight = state->round.weight + offset, *model = state->round.model + offset;

	(void)step;
	(void)err;
	for (size_t i = 0; i < count; i++)
		grad[i] += state->mu * (weight[i] - model[i]);
	return 0;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	return round_ends(memory, step) ? round_average(memory, step, weight, err) : 0;
}

const struct sync_strategy sync_fedprox = {
	.entry = { .name = "fedprox",
		   .summary = "fedavg that draws ranks back to what their round began with",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.differences = true,
	.margin = 2,
	.init = init,
	.average = round_begin,
	.gradients = gradients,
	.weights = weights,
	.report = round_report,
	.state = round_state,
	.fini = round_release,
};
