/*
 * As sgp over a graph that does not change, but ranks tell each other, compressed, how x differs
 * from what they made known of it before; any compression will do where gamma is small enough.
 * After "On arbitrary compression for decentralized consensus and stochastic optimization over
 * directed networks", arXiv 2204.08160. With (x_i, y_i), what is known of x_i xhat_i, and the
 * columns of A summing to 1:
 *
 *	q_i   = Q(x_i - xhat_i), told along the edges with y_i
 *	xhat_j += q_j		of those who tell, and its own
 *	x_i  += gamma (sum_j A_ij xhat_j - xhat_i)
 *	y_i  += gamma (sum_j A_ij y_j - y_i)
 *	z_i   = x_i / y_i	the weights to train with
 *
 * Whatever xhat is, the sums of x and of y over the ranks stay what they are, as long as all have
 * the same gamma. Of the others' xhat only s_i = sum_j A_ij xhat_j is kept. At first everything is
 *told, and now and then again, so that what sums round off does not add up.
 */
#include "runtime/sync/sync.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"
#include "runtime/sync/gamma.h"
#include "runtime/sync/mixing.h"
#include "runtime/sync/pushing.h"
#include "runtime/sync/topology.h"

enum { ANEW = 1024 }; /* steps */

struct params {
	struct topology_params topology;
	double gamma;
};

static const struct opt options[] = { TOPOLOGY_PUSHED(params, topology),
				      GAMMA_OPTION(params, gamma),
				      { 0 } };

struct state {
	struct sync_env env;
	struct mixing mixing;
	struct gamma gamma;
	struct pushing pushing;
	float *known;  /* [count], of x: xhat_i */
	float *heard;  /* [count], s_i */
	float *change; /* [count], scratch */
	double consensus;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	const struct params *given = params;
	struct state *state = memory;
	size_t bytes = env->count * sizeof(float), one;
	struct graph *graph = topology_directed(&given->topology, env, &one);

	(void)err;
	assert(one == 1);
	state->env = *env;
	state->consensus = NAN;
	state->mixing = mixing_push(graph, env->world->index);
	graph_release(graph);
	free(graph);
	state->gamma = gamma_new(given->gamma, env->world->count);
	state->pushing = pushing_new(env->count);
	state->known = xaligned(bytes);
	state->heard = xaligned(bytes);
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

/* What x is beyond what is known becomes known: all of it, or some. *mass: of those who tell. */
static int tell(struct state *state, size_t step, bool all, float *mass, struct error *err)
{
	const struct sync_env *env = &state->env;
	float riders[] = { state->pushing.y, state->gamma.state.said };
	const struct exchange_told told = { .x = state->change,
					    .sum = state->heard,
					    .riders = riders,
					    .rider_count = 2,
					    .exact = all };
	double whole;

	if (all) {
		memset(state->known, 0, env->count * sizeof(*state->known));
		memset(state->heard, 0, env->count * sizeof(*state->heard));
	}
	whole = subtract(state, state->pushing.x, state->known);
	if (exchange_neighbours(env->exchange, env->world, step, &state->mixing.edges, &told, err) <
	    0)
		return -1;
	cpu_add(state->known, state->change, env->count);
	*mass = riders[0];
	state->gamma.state.said = riders[1];
	if (all)
		return 0;
	return gamma_begin(&state->gamma, env, cpu_sum_squares(state->change, env->count), whole,
			   err);
}

/* Between what is known of this rank's weights and what it hears of all who tell it. */
static double distance(struct state *state, float mass)
{
	size_t count = state->env.count;
	float *own = state->pushing.scratch;

	memcpy(own, state->known, count * sizeof(*own));
	cpu_scale(own, 1 / state->pushing.y, count);
	memcpy(state->change, state->heard, count * sizeof(*own));
	cpu_scale(state->change, 1 / mass, count);
	return mixing_distance(own, state->change, count);
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	struct pushing *pushing = &state->pushing;
	size_t count = state->env.count;
	bool first = pushing->y == 0, lossy = exchange_is_lossy(state->env.exchange);
	float gamma, mass;
	double stepped, mixed;

	pushing_take(pushing, weight);
	stepped = first ? 0 : cpu_sum_squares(weight, count);
	if (tell(state, step, first || !lossy || step % ANEW == 0, &mass, err) < 0)
		return -1;
	gamma = state->gamma.state.value;
	state->consensus = distance(state, mass);
	mixed = subtract(state, state->heard, state->known) * (double)gamma * (double)gamma;
	cpu_axpy(pushing->x, gamma, state->change, count);
	pushing->y += gamma * (mass - pushing->y);
	assert(pushing->y > 0);
	pushing_give(pushing, weight);
	gamma_step(&state->gamma, step, mixed, stepped);
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
	size_t count = pushing_state(&state->pushing, arrays);

	arrays[count++] = (struct state_array){ "known", state->known, state->env.count };
	arrays[count++] = (struct state_array){ "heard", state->heard, state->env.count };
	arrays[count++] = gamma_array(&state->gamma);
	return count;
}

static void fini(void *memory)
{
	struct state *state = memory;

	mixing_release(&state->mixing);
	pushing_release(&state->pushing);
	free(state->known);
	free(state->heard);
	free(state->change);
}

const struct sync_strategy sync_push_sum_compressed = {
	.entry = { .name = "push_sum_compressed",
		   .summary = "as sgp on a fixed graph, but ranks tell compressed differences",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 1,
	.own_samples = true,
	.differences = true,
	.pairs = true,
	.init = init,
	.weights = weights,
	.report = report,
	.state = arrays_of,
	.fini = fini,
};
