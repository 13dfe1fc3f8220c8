/*
 * A parameter server that refuses updates which do not look like those of honest ranks: what
 * runtime/sync/kardam_filter.h says, for each holder's piece by itself. An update is what the
 * optimizer changed the weights by; the learning rate is on both sides of every comparison. Of its
 * updates g', g, computed one after the other at x' and x, a rank tells its own coefficient
 * |g - g'| / |x - x'|. The holder judges |g - last| / |x - x'|, where `last` is the update that it
 * took last, of whichever rank, and x' and x are the values that it gave to this one: nobody can
 * claim to have come a longer way, and for samples alike both are alike. With momentum a rank's
 * updates resemble each other, and those of others look strange. An update that only comes too
 * often waits for its rank's turn, and the rank goes on; its next one takes the place.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/sync/kardam_filter.h"
#include "runtime/sync/server.h"

struct params {
	struct server_params server;
	struct dampening dampening;
	size_t tolerate, window, warmup;
	bool hatch;
};

static const struct opt options[] = {
	SERVER_OPTIONS(struct params, server),
	DAMPENING_OPTIONS(struct params, dampening, "exponential"),
	{ "tolerate", OPT_COUNT, offsetof(struct params, tolerate), "0",
	  "ranks that may send anything; 0: as many as the others can stand, (ranks - 1) / 3",
	  .max = 65534 },
	{ "window", OPT_COUNT, offsetof(struct params, window), "25",
	  "coefficients of a rank that count", .min = 1, .max = 1e6 },
	{ "warmup", OPT_COUNT, offsetof(struct params, warmup), "0",
	  "updates that are judged by their norm at first; 0: two of each rank", .max = 1e9 },
	{ "hatch", OPT_BOOL, offsetof(struct params, hatch), "no",
	  "take an update after as many refusals in a row as there are ranks" },
	{ 0 }
};

struct state {
	struct server *server;
	struct kardam_filter *filter;
	struct keeper_judge judge;
	struct server_witness witness;

	/* The holder's, guarded by the server's lock. */
	size_t count, ranks;
	float *given; /* [ranks * count] values that each rank was answered with last */
	double *way;  /* [ranks] how far these are from those before */
	float *last;  /* [count] the update that was taken last */
	bool took;

	/* The training thread's own. */
	size_t total;
	float *from_before, *update_before; /* [total] of the rank's step before */
	bool stepped;
};

static double distance(const float *a, const float *b, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
	return sqrt(sum);
}

static void take(struct state *state, const float *update)
{
	memcpy(state->last, update, state->count * sizeof(*update));
	state->took = true;
}

static enum keeper_verdict judge(void *arg, size_t worker, const float *update, double own)
{
	struct state *state = arg;
	struct kardam_update seen = { .worker = worker,
				      .norm = sqrt(cpu_sum_squares(update, state->count)),
				      .growth = NAN,
				      .own = own };

	if (state->took && state->way[worker] > 0)
		seen.growth = distance(update, state->last, state->count) / state->way[worker];
	switch (kardam_filter_judge(state->filter, &seen)) {
	case KARDAM_ACCEPTED: take(state, update); return KEEPER_TAKEN;
	case KARDAM_FREQUENT: return KEEPER_WAITS;
	default: return KEEPER_REFUSED;
	}
}

static bool takes(void *arg, size_t worker, const float *update)
{
	struct state *state = arg;

	if (!kardam_filter_take_late(state->filter, worker))
		return false;
	take(state, update);
	return true;
}

static void answered(void *arg, size_t worker, const float *values)
{
	struct state *state = arg;
	float *given = state->given + worker * state->count;

	state->way[worker] = distance(values, given, state->count);
	memcpy(given, values, state->count * sizeof(*values));
}

static double tell(void *arg, const float *from, const float *update, size_t offset, size_t count)
{
	struct state *state = arg;
	double way = distance(from + offset, state->from_before + offset, count);

	if (!state->stepped || way == 0)
		return NAN;
	return distance(update + offset, state->update_before + offset, count) / way;
}

static void done(void *arg, const float *from, const float *update)
{
	struct state *state = arg;

	memcpy(state->from_before, from, state->total * sizeof(*from));
	memcpy(state->update_before, update, state->total * sizeof(*update));
	state->stepped = true;
}

static int open_filter(struct state *state, const struct params *given, struct error *err)
{
	struct kardam_params params = { .workers = state->ranks,
					.f = given->tolerate,
					.window = given->window,
					.warmup = given->warmup,
					.hatch = given->hatch };

	if (state->ranks < 3 * given->tolerate + 1)
		return error_set(err,
				 "sync.tolerate: %zu of %zu ranks cannot be told from the others; "
				 "that takes %zu ranks",
				 given->tolerate, state->ranks, 3 * given->tolerate + 1);
	if (params.f == 0)
		params.f = (state->ranks - 1) / 3;
	if (params.warmup == 0)
		params.warmup = 2 * state->ranks;
	state->filter = kardam_filter_new(&params);
	return 0;
}

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	struct state *state = memory;
	const struct params *given = params;
	struct server_rule rule = { .dampening = given->dampening,
				    .judge = &state->judge,
				    .witness = &state->witness };

	state->ranks = (size_t)env->world->count;
	state->total = env->count;
	state->judge = (struct keeper_judge){ state, judge, takes, answered };
	state->witness = (struct server_witness){ state, tell, done };
	if (open_filter(state, given, err) < 0)
		return -1;
	state->server = server_new(&given->server, &rule, env, err);
	if (!state->server)
		return -1;
	state->count = server_holds(state->server);
	state->given = xaligned(state->ranks * state->count * sizeof(float));
	state->way = xcalloc(state->ranks, sizeof(*state->way));
	state->last = xaligned(state->count * sizeof(float));
	state->from_before = xaligned(state->total * sizeof(float));
	state->update_before = xaligned(state->total * sizeof(float));
	return 0;
}

static void fini(void *memory)
{
	struct state *state = memory;

	server_free(state->server);
	kardam_filter_free(state->filter);
	free(state->given);
	free(state->way);
	free(state->last);
	free(state->from_before);
	free(state->update_before);
}

const struct sync_strategy sync_kardam = {
	.entry = { .name = "kardam",
		   .summary = "asp that refuses updates which do not look like honest ones",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.margin = 8,
	.init = init,
	SERVER_STRATEGY,
	.fini = fini,
};
