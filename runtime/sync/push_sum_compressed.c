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
 * the same gamma.
 */
#include "runtime/sync/sync.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/cpu.h"
#include "runtime/sync/hearsay.h"
#include "runtime/sync/pushing.h"
#include "runtime/sync/topology.h"

struct params {
	struct topology_params topology;
	double gamma;
};

static const struct opt options[] = { TOPOLOGY_PUSHED(params, topology),
				      GAMMA_OPTION(params, gamma),
				      { 0 } };

struct state {
	struct hearsay hearsay; /* of x */
	struct pushing pushing;
	double consensus;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	const struct params *given = params;
	struct state *state = memory;
	size_t one;
	struct graph *graph = topology_directed(&given->topology, env, &one);

	(void)err;
	assert(one == 1);
	state->consensus = NAN;
	state->hearsay = hearsay_new(env, mixing_push(graph, env->world->index), given->gamma);
	graph_release(graph);
	free(graph);
	state->pushing = pushing_new(env->count);
	return 0;
}

/* Between what is known of this rank's weights and what it hears of all who tell it. */
static double distance(struct state *state, float mass)
{
	struct hearsay *hearsay = &state->hearsay;
	size_t count = hearsay->env.count;
	float *own = state->pushing.scratch;

	memcpy(own, hearsay->known, count * sizeof(*own));
	cpu_scale(own, 1 / state->pushing.y, count);
	memcpy(hearsay->change, hearsay->heard, count * sizeof(*own));
	cpu_scale(hearsay->change, 1 / mass, count);
	return mixing_distance(own, hearsay->change, count);
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	struct hearsay *hearsay = &state->hearsay;
	struct pushing *pushing = &state->pushing;
	bool first = pushing->y == 0;
	double stepped, mixed;
	float gamma, mass;

	pushing_take(pushing, weight);
	stepped = first ? 0 : cpu_sum_squares(weight, hearsay->env.count);
	mass = pushing->y;
	if (hearsay_tell(hearsay, step, pushing->x, first, &mass, err) < 0)
		return -1;
	gamma = hearsay->gamma.state.value;
	state->consensus = distance(state, mass);
	mixed = hearsay_mix(hearsay, pushing->x) * (double)gamma * (double)gamma;
	pushing->y += gamma * (mass - pushing->y);
	assert(pushing->y > 0);
	pushing_give(pushing, weight);
	gamma_step(&hearsay->gamma, step, mixed, stepped);
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
	size_t count = pushing_state(&state->pushing, arrays);

	return count + hearsay_state(&state->hearsay, arrays + count);
}

static void fini(void *memory)
{
	struct state *state = memory;

	hearsay_release(&state->hearsay);
	pushing_release(&state->pushing);
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
