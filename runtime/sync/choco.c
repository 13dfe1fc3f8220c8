/*
 * CHOCO-SGD: neighbours tell each other, compressed, how their weights differ from what they made
 * known of them before. Koloskova, Stich and Jaggi, "Decentralized stochastic optimization and
 * gossip algorithms with compressed communication", ICML 2019, algorithm 2. With weights x_i,
 * what is known of them xhat_i, and Metropolis weights P:
 *
 *	x_i   = x_i - G_i(x_i)
 *	q_i   = Q(x_i - xhat_i), told to the neighbours
 *	xhat_j += q_j		for them and itself
 *	x_i  += gamma sum_j P_ij (xhat_j - xhat_i)
 */
#include "runtime/sync/sync.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/sync/hearsay.h"
#include "runtime/sync/topology.h"

struct params {
	struct topology_params topology;
	double gamma;
};

static const struct opt options[] = { TOPOLOGY_UNDIRECTED(params, topology),
				      GAMMA_OPTION(params, gamma),
				      { 0 } };

struct state {
	struct hearsay hearsay;
	float *before; /* [count], the weights after the last mixing */
	float met;     /* 1: there are such, and all is known */
	double consensus;
};

static bool wants_links(const void *params)
{
	return topology_wants_links(&((const struct params *)params)->topology);
}

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	const struct params *given = params;
	struct state *state = memory;
	struct graph graph;

	state->consensus = NAN;
	if (topology_undirected(&graph, &given->topology, env, err) < 0)
		return -1;
	state->hearsay =
		hearsay_new(env, mixing_metropolis(&graph, env->world->index), given->gamma);
	graph_release(&graph);
	state->before = xaligned(env->count * sizeof(float));
	return 0;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	struct hearsay *hearsay = &state->hearsay;
	size_t count = hearsay->env.count;
	bool met = state->met != 0;
	double stepped = met ? hearsay_subtract(hearsay, weight, state->before) : 0, mixed;

	if (hearsay_tell(hearsay, step, weight, !met, NULL, err) < 0)
		return -1;
	state->met = 1;
	mixed = hearsay_mix(hearsay, weight);
	memcpy(state->before, weight, count * sizeof(*weight));
	state->consensus = sqrt(mixed / fmax(cpu_sum_squares(hearsay->heard, count), 1e-30));
	gamma_step(&hearsay->gamma, step, mixed * pow(hearsay->gamma.state.value, 2), stepped);
	return 0;
}

static void report(void *memory, struct drift *out)
{
	struct state *state = memory;

	out->participants = 1 + state->hearsay.mixing.sources;
	out->consensus = state->consensus;
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;
	size_t count = hearsay_state(&state->hearsay, arrays);

	arrays[count++] = (struct state_array){ "before", state->before, state->hearsay.env.count };
	arrays[count++] = (struct state_array){ "met", &state->met, 1 };
	return count;
}

static void fini(void *memory)
{
	struct state *state = memory;

	hearsay_release(&state->hearsay);
	free(state->before);
}

const struct sync_strategy sync_choco = {
	.entry = { .name = "choco",
		   .summary = "as dpsgd, but neighbours tell each other compressed differences",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 1,
	.own_samples = true,
	.differences = true,
	.pairs = true,
	.wants_links = wants_links,
	.init = init,
	.weights = weights,
	.report = report,
	.state = arrays_of,
	.fini = fini,
};
