/*
 * Each rank steps on its own samples and then mixes its weights with those of its neighbours, by
 * Metropolis weights, and waits for nobody else. Lian et al., "Can decentralized algorithms
 * outperform centralized algorithms? A case study for decentralized parallel stochastic gradient
 * descent", NeurIPS 2017. With weights X, one column per rank, and the updates G:
 *
 *	X(t+1) = (X_t - G(X_t)) P	P symmetric, rows and columns sum to 1
 */
#include "runtime/sync/sync.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/exchange.h"
#include "runtime/sync/mixing.h"
#include "runtime/sync/topology.h"

struct params {
	struct topology_params topology;
};

static const struct opt options[] = { TOPOLOGY_UNDIRECTED(params, topology), { 0 } };

struct state {
	struct sync_env env;
	struct mixing mixing;
	float *mix; /* [count] */
	double consensus;
};

static bool wants_links(const void *params)
{
	return topology_wants_links(&((const struct params *)params)->topology);
}

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	struct graph graph;

	state->env = *env;
	state->consensus = NAN;
	if (topology_undirected(&graph, &((const struct params *)params)->topology, env, err) < 0)
		return -1;
	state->mixing = mixing_metropolis(&graph, env->world->index);
	state->mix = xaligned(env->count * sizeof(*state->mix));
	graph_release(&graph);
	return 0;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	const struct sync_env *env = &state->env;
	const struct exchange_told told = { .x = weight, .sum = state->mix, .exact = true };
	size_t bytes = env->count * sizeof(*weight);

	memset(state->mix, 0, bytes);
	if (exchange_neighbours(env->exchange, env->world, step, &state->mixing.edges, &told, err) <
	    0)
		return -1;
	state->consensus = mixing_distance(weight, state->mix, env->count);
	memcpy(weight, state->mix, bytes);
	return 0;
}

static void report(void *memory, struct drift *out)
{
	struct state *state = memory;

	out->participants = 1 + state->mixing.sources;
	out->consensus = state->consensus;
}

static void fini(void *memory)
{
	struct state *state = memory;

	mixing_release(&state->mixing);
	free(state->mix);
}

const struct sync_strategy sync_dpsgd = {
	.entry = { .name = "dpsgd",
		   .summary = "ranks step alone and mix their weights with their neighbours'",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 1,
	.own_samples = true,
	.plain = SYNC_PLAIN_WEIGHTS,
	.wants_links = wants_links,
	.init = init,
	.weights = weights,
	.report = report,
	.fini = fini,
};
