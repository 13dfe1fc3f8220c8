/*
 * Partial allreduce: who finished a step is in a group of some ranks, drawn at random, and computes
 * on once all of that group have finished theirs and averaged. Luo, He, Zhuo and Qian, "Prague:
 * high-performance heterogeneity-aware asynchronous decentralized training", ASPLOS 2020. A rank is
 * in one group at a time, so that groups have no conflicts, and nobody waits in a circle. Ranks
 * that have been in fewer groups by more than `lag` are drawn by none that are ahead of them: so
 * nobody waits for those who are always slow, who draw groups themselves.
 */
#include "runtime/sync/sync.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/rng.h"
#include "runtime/sync/meeting.h"

struct params {
	size_t group, lag;
};

static const struct opt options[] = { { "group", OPT_COUNT, offsetof(struct params, group), "3",
					"ranks that average at a time", .min = 2, .max = 65535 },
				      { "lag", OPT_COUNT, offsetof(struct params, lag), "4",
					"groups by which a rank may be behind those that draw it",
					.min = 1, .max = 1e9 },
				      { 0 } };

/* A rank of the world, where the token is. */
struct seat {
	uint32_t group; /* that it is in, 0: none */
	bool waits;
	uint64_t groups; /* that it has been in */
};

struct state {
	struct meeting *meeting; /* first */
	struct params params;
	int world;
	uint64_t seed;
	uint32_t drawn; /* groups so far */
	struct seat *seats;
	int *members;	 /* [world] of the group that goes */
	uint32_t *order; /* [world] scratch */
};

/*
 * A group for a rank that waits in none: others that are in none, drawn at random, who wait or are
 * not too far behind. If somebody waits, it is in it: so that no two wait in no group, and who
 * draws one never completes it unless it came last. Alone a rank goes on waiting.
 */
static void draw(struct state *state, int place)
{
	struct rng rng = rng_make(state->seed, RNG_GRAPH, 0, ++state->drawn);
	const struct seat *own = &state->seats[place];
	size_t others = 0;
	uint32_t *order = state->order;

	for (int i = 0; i < state->world; i++) {
		const struct seat *seat = &state->seats[i];

		if (i != place && seat->group == 0 &&
		    (seat->waits || seat->groups + state->params.lag >= own->groups))
			order[others++] = (uint32_t)i;
	}
	if (others == 0)
		return;
	rng_shuffle(&rng, order, others);
	for (size_t i = 1; i < others; i++) {
		uint32_t first = order[0];

		if (state->seats[order[i]].waits) {
			order[0] = order[i];
			order[i] = first;
		}
	}
	state->seats[place].group = state->drawn;
	for (size_t i = 0; i < others && i + 1 < state->params.group; i++)
		state->seats[order[i]].group = state->drawn;
}

/* They compute again. Who waits in no group may find one among them. */
static void let_go(struct state *state, int count)
{
	for (int i = 0; i < count; i++) {
		struct seat *seat = &state->seats[state->members[i]];

		*seat = (struct seat){ .groups = seat->groups + 1 };
	}
	for (int i = 0; i < state->world; i++)
		if (state->seats[i].waits && state->seats[i].group == 0)
			draw(state, i);
}

/* Whoever came last is the last of the members. */
static int ready(void *search, int place, const int **members)
{
	struct state *state = search;
	struct seat *own = &state->seats[place];
	int count = 0;

	own->waits = true;
	if (own->group == 0)
		draw(state, place);
	if (own->group == 0)
		return 0;
	for (int i = 0; i < state->world; i++) {
		if (state->seats[i].group != own->group)
			continue;
		if (!state->seats[i].waits)
			return 0;
		if (i != place)
			state->members[count++] = i;
	}
	state->members[count++] = place;
	let_go(state, count);
	*members = state->members;
	return count;
}

static void reset(void *search)
{
	struct state *state = search;

	for (int i = 0; i < state->world; i++)
		state->seats[i] = (struct seat){ .groups = state->seats[i].groups };
}

static void put(const void *search, struct buf *out)
{
	const struct state *state = search;

	wire_put_u32(out, state->drawn);
	for (int i = 0; i < state->world; i++) {
		wire_put_u32(out, state->seats[i].group);
		wire_put_u8(out, state->seats[i].waits);
		wire_put_u64(out, state->seats[i].groups);
	}
}

static int get(void *search, struct wire *from)
{
	struct state *state = search;

	state->drawn = wire_get_u32(from);
	for (int i = 0; i < state->world; i++) {
		state->seats[i].group = wire_get_u32(from);
		state->seats[i].waits = wire_get_u8(from) != 0;
		state->seats[i].groups = wire_get_u64(from);
	}
	return from->failed ? -1 : 0;
}

static void parts(const void *search, const int *members, int count, int of, double *part)
{
	(void)search;
	(void)members;
	(void)of;
	for (int i = 0; i < count; i++)
		part[i] = 1 / (double)count;
}

static const struct meeting_rule rule = {
	.ready = ready, .reset = reset, .put = put, .get = get, .parts = parts
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	size_t world = (size_t)env->world->count, partners;

	(void)err;
	state->params = *(const struct params *)params;
	state->world = env->world->count;
	state->seed = env->seed;
	state->seats = xcalloc(world, sizeof(*state->seats));
	state->members = xcalloc(world, sizeof(*state->members));
	state->order = xcalloc(world, sizeof(*state->order));
	partners = (state->params.group < world ? state->params.group : world) - 1;
	state->meeting = meeting_new(env, &rule, state, (int)partners);
	return 0;
}

static void fini(void *memory)
{
	struct state *state = memory;

	meeting_free(state->meeting);
	free(state->seats);
	free(state->members);
	free(state->order);
}

const struct sync_strategy sync_prague = {
	.entry = { .name = "prague",
		   .summary = "after a step a rank averages with a few others, drawn at random",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.plain = SYNC_PLAIN_WEIGHTS,
	.asynchronous = true,
	.margin = 1,
	.init = init,
	.go = meeting_go,
	.settle = meeting_settle,
	.report = meeting_report,
	.serve = meeting_serve,
	.fini = fini,
};
