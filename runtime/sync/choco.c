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
 *
 * Of the neighbours' xhat only the sum s_i = sum_j P_ij xhat_j is kept. At first everything is
 *told, and now and then again, so that what sums round off does not add up.
 */
#include "runtime/sync/sync.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"
#include "runtime/sync/gamma.h"
#include "runtime/sync/mixing.h"
#include "runtime/sync/topology.h"

enum { ANEW = 1024 }; /* steps */

struct params {
	struct topology_params topology;
	double gamma;
};

static const struct opt options[] = { TOPOLOGY_UNDIRECTED(params, topology),
				      GAMMA_OPTION(params, gamma),
				      { 0 } };

struct state {
	struct sync_env env;
	struct mixing mixing;
	struct gamma gamma;
	float *known;  /* [count], of these weights: xhat_i */
	float *heard;  /* [count], s_i */
	float *before; /* [count], the weights after the last mixing */
	float *change; /* [count], scratch */
	float met;     /* 1: all of the above hold something */
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
	size_t bytes = env->count * sizeof(float);
	struct graph graph;

	state->env = *env;
	state->consensus = NAN;
	if (topology_undirected(&graph, &given->topology, env, err) < 0)
		return -1;
	state->mixing = mixing_metropolis(&graph, env->world->index);
	graph_release(&graph);
	state->gamma = gamma_new(given->gamma, env->world->count);
	state->known = xaligned(bytes);
	state->heard = xaligned(bytes);
	state->before = xaligned(bytes);
	state->change = xaligned(bytes);
	return 0;
}

/* change = a - b; its square. */
static double subtract(const struct state *state, const float *a, const float *b)
{
	memcpy(state->change, a, state->env.count * sizeof(*a));
	cpu_axpy(state->change, -1, b, state->env.count);
	return cpu_sum_squares(state->change, state->env.count);
}

/* What the weights are beyond what is known becomes known: all of it, or some. */
static int tell(struct state *state, size_t step, const float *weight, bool all, struct error *err)
{
	const struct sync_env *env = &state->env;
	const struct exchange_told told = { .x = state->change,
					    .sum = state->heard,
					    .riders = &state->gamma.state.said,
					    .rider_count = 1,
					    .exact = all };
	double whole;

	if (all) {
		memset(state->known, 0, env->count * sizeof(*state->known));
		memset(state->heard, 0, env->count * sizeof(*state->heard));
	}
	whole = subtract(state, weight, state->known);
	if (exchange_neighbours(env->exchange, env->world, step, &state->mixing.edges, &told, err) <
	    0)
		return -1;
	cpu_add(state->known, state->change, env->count);
	if (all)
		return 0;
	return gamma_begin(&state->gamma, env, cpu_sum_squares(state->change, env->count), whole,
			   err);
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	size_t count = state->env.count;
	bool met = state->met != 0, lossy = exchange_is_lossy(state->env.exchange);
	double stepped = met ? subtract(state, weight, state->before) : 0, mixed;

	if (tell(state, step, weight, !met || !lossy || step % ANEW == 0, err) < 0)
		return -1;
	state->met = 1;
	mixed = subtract(state, state->heard, state->known);
	cpu_axpy(weight, state->gamma.state.value, state->change, count);
	memcpy(state->before, weight, count * sizeof(*weight));
	state->consensus = sqrt(mixed / fmax(cpu_sum_squares(state->heard, count), 1e-30));
	gamma_step(&state->gamma, step, mixed * pow(state->gamma.state.value, 2), stepped);
	return 0;
}

static void report(void *memory, struct drift *out)
{
	struct state *state = memory;

	out->participants = 1 + state->mixing.sources;
	out->consensus = state->consensus;
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;

	arrays[0] = (struct state_array){ "known", state->known, state->env.count };
	arrays[1] = (struct state_array){ "heard", state->heard, state->env.count };
	arrays[2] = (struct state_array){ "before", state->before, state->env.count };
	arrays[3] = (struct state_array){ "met", &state->met, 1 };
	arrays[4] = gamma_array(&state->gamma);
	return 5;
}

static void fini(void *memory)
{
	struct state *state = memory;

	mixing_release(&state->mixing);
	free(state->known);
	free(state->heard);
	free(state->before);
	free(state->change);
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
