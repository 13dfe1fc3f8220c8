/*
 * Stochastic gradient push: ranks mix over a graph of which edges go one way, and may change from
 * step to step. Assran et al., "Stochastic gradient push for distributed deep learning", ICML 2019,
 * algorithm 1. A rank has (x, y), x as long as the weights, y one number that begins at 1, and
 * trains on the weights z = x / y:
 *
 *	x(t + 1/2) = x_t - G(z_t)
 *	x(t + 1), y(t + 1) = A_t x(t + 1/2), A_t y_t	columns of A sum to 1
 *
 * The sums of x and y over the ranks stay what they are but for the steps.
 */
#include "runtime/sync/sync.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/exchange.h"
#include "runtime/sync/mixing.h"
#include "runtime/sync/pushing.h"
#include "runtime/sync/topology.h"

struct params {
	struct topology_params topology;
};

static const struct opt options[] = { TOPOLOGY_VARIED(params, topology), { 0 } };

struct state {
	struct sync_env env;
	struct mixing *mixings; /* [mixing_count], of steps in turn */
	size_t mixing_count;
	struct pushing pushing;
	int sources; /* of the last step */
	double consensus;
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	const struct topology_params *topology = &((const struct params *)params)->topology;
	struct state *state = memory;
	struct graph *graphs = topology_directed(topology, env, &state->mixing_count);

	(void)err;
	state->env = *env;
	state->consensus = NAN;
	state->pushing = pushing_new(env->count);
	state->mixings = xcalloc(state->mixing_count, sizeof(*state->mixings));
	for (size_t i = 0; i < state->mixing_count; i++) {
		state->mixings[i] = mixing_push(&graphs[i], env->world->index);
		graph_release(&graphs[i]);
	}
	free(graphs);
	return 0;
}

/* What was x stays in scratch. */
static void replace(struct pushing *pushing)
{
	float *before = pushing->x;

	pushing->x = pushing->scratch;
	pushing->scratch = before;
}

static int weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct state *state = memory;
	const struct sync_env *env = &state->env;
	const struct mixing *mixing = &state->mixings[step % state->mixing_count];
	struct pushing *pushing = &state->pushing;
	struct exchange_told told = { .riders = &pushing->y, .rider_count = 1, .exact = true };
	float before;

	pushing_take(pushing, weight);
	before = pushing->y;
	told.x = pushing->x;
	told.sum = pushing->scratch;
	memset(told.sum, 0, env->count * sizeof(*told.sum));
	if (exchange_neighbours(env->exchange, env->world, step, &mixing->edges, &told, err) < 0)
		return -1;
	replace(pushing);
	pushing_give(pushing, weight);
	cpu_scale(pushing->scratch, 1 / before, env->count);
	state->consensus = mixing_distance(pushing->scratch, weight, env->count);
	state->sources = mixing->sources;
	return 0;
}

static void report(void *memory, struct drift *out)
{
	struct state *state = memory;

	out->participants = 1 + state->sources;
	out->consensus = state->consensus;
}

static size_t arrays_of(void *memory, struct state_array *arrays)
{
	struct state *state = memory;

	return pushing_state(&state->pushing, arrays);
}

static void fini(void *memory)
{
	struct state *state = memory;

	for (size_t i = 0; i < state->mixing_count; i++)
		mixing_release(&state->mixings[i]);
	free(state->mixings);
	pushing_release(&state->pushing);
}

const struct sync_strategy sync_sgp = {
	.entry = { .name = "sgp",
		   .summary = "ranks step alone and push their weights along edges that go one way",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 1,
	.own_samples = true,
	.plain = SYNC_PLAIN_WEIGHTS,
	.init = init,
	.weights = weights,
	.report = report,
	.state = arrays_of,
	.fini = fini,
};
