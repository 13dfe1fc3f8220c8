/*
 * Bulk synchronous, but that some ranks may be wrong: instead of the sum of all gradients a step
 * takes what a rule makes of them that few cannot lead astray. Slices go to their owners, each of
 * whom sees all ranks' numbers there, and what the rule makes of them goes to everybody.
 */
#include "runtime/sync/sync.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/aggregate.h"
#include "runtime/coll_round.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

struct params {
	int rule; /* enum aggregate_rule */
	size_t tolerate;
};

static const struct opt options[] = { { "rule", OPT_CHOICE, offsetof(struct params, rule),
					"trimmed_mean", "what a step makes of the gradients",
					.choices = aggregate_rules },
				      { "tolerate", OPT_COUNT, offsetof(struct params, tolerate),
					"0", "how many ranks may be wrong", .max = 1e6 },
				      { 0 } };

struct state {
	struct sync_env env;
	struct aggregate *aggregate;
	struct coll_round *round;
	const float **rows; /* [world] this rank's slice of each one's gradient */
	size_t *in, *out;   /* [world] bytes */
	float *distance;    /* [world * world] */
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;
	size_t n = (size_t)env->world->count;

	state->env = *env;
	state->aggregate = aggregate_new((enum aggregate_rule)given->rule, n, given->tolerate, err);
	if (!state->aggregate)
		return error_prefix(err, "sync.tolerate");
	state->round = coll_round_new((int)n);
	state->rows = xcalloc(n, sizeof(*state->rows));
	state->in = xcalloc(n, sizeof(*state->in));
	state->out = xcalloc(n, sizeof(*state->out));
	state->distance = xcalloc(n * n, sizeof(*state->distance));
	return 0;
}

static size_t slice_of(const struct state *state, int member, size_t count, size_t *length)
{
	return slice_start(count, (size_t)state->env.world->count, (size_t)member, length);
}

static void scatter(struct state *state, const float *grad, size_t count)
{
	const struct group *world = state->env.world;
	size_t length;

	slice_of(state, world->index, count, &length);
	for (int i = 0; i < world->count; i++) {
		state->in[i] = length * sizeof(*grad);
		slice_of(state, i, count, &state->out[i]);
		state->out[i] *= sizeof(*grad);
	}
	coll_round_begin(state->round, state->env.net, world, COLL_EACH_ITS_OWN, 0, state->in,
			 state->out);
	for (int distance = 1; distance < world->count; distance++) {
		int to = (world->index + distance) % world->count;
		size_t start = slice_of(state, to, count, &length);

		if (length == 0)
			continue;
		memcpy(coll_round_room(state->round, to), grad + start, length * sizeof(*grad));
		coll_round_send(state->round, to, length * sizeof(*grad));
	}
}

/* rows[] become everybody's numbers of this rank's slice, which is grad[start .. start + count). */
static int gather(struct state *state, const float *slice, size_t count, struct error *err)
{
	const struct group *world = state->env.world;

	for (int i = 0; i < world->count; i++) {
		const unsigned char *message = NULL;
		size_t length = count * sizeof(*slice);

		if (i != world->index && count > 0) {
			message = coll_round_take(state->round, i, &length, err);
			if (!message)
				return -1;
		}
		if (length != count * sizeof(*slice))
			return error_set(err, "rank %d sent %zu bytes of a slice of %zu",
					 world->ranks[i], length, count * sizeof(*slice));
		state->rows[i] = message ? (const float *)(const void *)message : slice;
	}
	return 0;
}

/* All ranks add up the same distances, and so choose the same rows. */
static int choose(struct state *state, size_t count, struct error *err)
{
	const struct group *world = state->env.world;
	size_t n = (size_t)world->count;

	if (!aggregate_chooses(state->aggregate))
		return 0;
	aggregate_distances(state->aggregate, state->rows, count, state->distance);
	if (coll_allreduce(state->env.net, world, COLL_AUTO, state->distance, n * n, err) < 0)
		return -1;
	return aggregate_choose(state->aggregate, state->distance, err);
}

static int mix(struct state *state, float *grad, size_t count, struct error *err)
{
	const struct group *world = state->env.world;
	size_t length;
	float *slice = grad + slice_of(state, world->index, count, &length);

	scatter(state, grad, count);
	if (gather(state, slice, length, err) < 0 || choose(state, length, err) < 0)
		return -1;
	aggregate_mix(state->aggregate, state->rows, length, slice);
	if (coll_round_end(state->round, err) < 0)
		return -1;
	return coll_allgather(state->env.net, world, grad, count, err);
}

/* Who chooses among gradients has to see them whole: that is, once the last bucket is there. */
static int gradients(void *memory, size_t step, size_t offset, float *grad, size_t count,
		     struct error *err)
{
	struct state *state = memory;

	(void)step;
	if (aggregate_chooses(state->aggregate)) {
		if (offset > 0)
			return 0;
		count = state->env.count;
	}
	if (mix(state, grad, count, err) == 0)
		return 0;
	net_abort(state->env.net, err->text);
	coll_round_abandon(state->round);
	return -1;
}

static void fini(void *memory)
{
	struct state *state = memory;

	aggregate_free(state->aggregate);
	coll_round_free(state->round);
	free(state->rows);
	free(state->in);
	free(state->out);
	free(state->distance);
}

const struct sync_strategy sync_robust = {
	.entry = { .name = "robust",
		   .summary = "as bsp, but bears ranks whose gradients are wrong",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 1,
	.replicated = true,
	.own_samples = true,
	.plain = "judges gradients as they are; leave compress out",
	.init = init,
	.gradients = gradients,
	.fini = fini,
};
