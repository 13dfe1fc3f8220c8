/*
 * Federated averaging: of each round, the ranks that are drawn train alone, and the mean of their
 * weights, by samples, goes to all: McMahan et al., "Communication-efficient learning of deep
 * networks from decentralized data", AISTATS 2017, algorithm 1. Optimizer state stays local.
 */
#include "runtime/sync/sync.h"

#include "runtime/sync/round.h"

static const struct opt options[] = { { ROUND_PERIOD }, { ROUND_CLIENTS }, { 0 } };

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	return round_init(memory, params, env, err);
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	return round_ends(memory, step) ? round_average(memory, step, weight, err) : 0;
}

const struct sync_strategy sync_fedavg = {
	.entry = { .name = "fedavg",
		   .summary = "ranks drawn for a round train alone, all get the mean by samples",
		   .options = options,
		   .params_size = sizeof(struct round_params) },
	.state_size = sizeof(struct round),
	.own_samples = true,
	.differences = true,
	.margin = 2,
	.init = init,
	.average = round_begin,
	.weights = weights,
	.report = round_report,
	.state = round_state,
	.fini = round_release,
};
