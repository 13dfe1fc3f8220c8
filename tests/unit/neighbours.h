/* Ranks that mix with their neighbours, by any strategy, and what each of them has at the end. */
#ifndef DSTRAIN_TESTS_NEIGHBOURS_H
#define DSTRAIN_TESTS_NEIGHBOURS_H

#include <math.h>

#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/rng.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"
#include "tests/unit/part.h"

enum { COUNT = 120, WORLD_MAX = 16, ROOM = 6 * COUNT };

/* What a rank has between two steps, as a checkpoint keeps it. */
struct keepsake {
	float x[COUNT], state[ROOM];
	size_t floats; /* of state */
};

struct trial {
	const char *strategy;
	const char *const *options; /* as of part_with; may be NULL */
	const char *scheme;	    /* NULL: none */
	const char *const *scheme_options;
	int world;
	size_t first_step, steps;
	double rate;		  /* of learning; 0: weights change by mixing alone */
	const struct trial *from; /* goes on with what this one ended with */
	/* Optional: of a rank, after each of its steps. */
	void (*look)(struct trial *trial, int rank, size_t step, const float *x,
		     const struct state_array *arrays, size_t count);
	void *arg;

	float begin[WORLD_MAX][COUNT];
	struct keepsake end[WORLD_MAX];
	struct drift drift[WORLD_MAX]; /* of the last step */
	uint64_t payload[WORLD_MAX];
	int64_t saved[WORLD_MAX];
};

static inline float neighbours_number(int rank, size_t step, size_t i)
{
	struct rng rng = rng_make(7, RNG_DATA, (uint64_t)rank, step);

	return (float)(2 * rng_uniform(&rng, i) - 1);
}

static inline struct trial *trial_new(const struct trial *like)
{
	struct trial *trial = xmalloc(sizeof(*trial));

	*trial = *like;
	for (int r = 0; r < trial->world; r++)
		for (size_t i = 0; i < COUNT; i++)
			trial->begin[r][i] = like->from ? like->from->end[r].x[i]
							: neighbours_number(r, 1000, i);
	return trial;
}

/* Floats of all of a strategy's arrays, one after the other, to or from `state`. */
static inline size_t carry(struct sync *sync, float *state, bool back)
{
	struct state_array arrays[STATE_ARRAYS];
	size_t count = sync_state(sync, arrays), at = 0;

	for (size_t a = 0; a < count; a++) {
		assert(at + arrays[a].count <= ROOM);
		memcpy(back ? arrays[a].x : state + at, back ? state + at : arrays[a].x,
		       arrays[a].count * sizeof(*state));
		at += arrays[a].count;
	}
	return at;
}

/* Each rank's bowl has its bottom elsewhere. */
static inline void trial_step(struct trial *trial, struct sync *sync, int rank, size_t step,
			      float *x)
{
	struct state_array arrays[STATE_ARRAYS];
	float grad[COUNT];
	struct error err;

	sync_step(sync, step, x, grad);
	for (size_t i = 0; i < COUNT; i++)
		grad[i] = trial->rate == 0 ? 0
					   : 0.5f * (x[i] - neighbours_number(rank, 2000, i)) /
						     (float)trial->world;
	sync_ready(sync, 0, COUNT);
	cluster_must(sync_gradients(sync, &err), &err);
	for (size_t i = 0; i < COUNT; i++)
		x[i] -= (float)trial->rate * grad[i];
	cluster_must(sync_weights(sync, step, x, &err), &err);
	if (trial->look)
		trial->look(trial, rank, step, x, arrays, sync_state(sync, arrays));
}

static inline void trial_body(int rank, struct net *net, void *arg)
{
	static const char *const none[] = { NULL };
	struct trial *trial = arg;
	const struct entry *strategy = registry_find(&sync_strategies, trial->strategy);
	struct part part = part_with(strategy, trial->options ? trial->options : none);
	struct part scheme =
		part_with(registry_find(&compressors, trial->scheme ? trial->scheme : "none"),
			  trial->scheme_options ? trial->scheme_options : none);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, trial->world, rank);
	struct exchange_env exchange_env = {
		.net = net,
		.count = COUNT,
		.differences = PART_AS(&part, struct sync_strategy)->differences,
		.coder = { .compressor = &scheme, .seed = 42 }
	};
	struct sync_params params = { .bucket_bytes = 1024 };
	struct sync_env env = { .net = net, .world = &world, .count = COUNT, .seed = 42 };
	struct keepsake *end = &trial->end[rank];
	struct sync *sync = NULL;
	struct error err;

	env.exchange = exchange_new(&exchange_env);
	cluster_must(sync_new(&sync, &part, &params, &env, &err), &err);
	memcpy(end->x, trial->begin[rank], sizeof(end->x));
	if (trial->from)
		assert(carry(sync, (float *)(uintptr_t)trial->from->end[rank].state, true) ==
		       trial->from->end[rank].floats);
	for (size_t s = 0; s < trial->steps; s++)
		trial_step(trial, sync, rank, trial->first_step + s, end->x);
	end->floats = carry(sync, end->state, false);
	trial->drift[rank] = sync_drift(sync);
	trial->payload[rank] = net_bytes(net).payload_sent;
	trial->saved[rank] = exchange_saved(env.exchange);
	sync_free(sync);
	exchange_free(env.exchange);
	part_release(&part);
	part_release(&scheme);
}

static inline void trial_run(struct trial *trial, const char *transport)
{
	cluster_run(transport, trial->world, trial_body, trial);
}

/* The mean over the ranks of a place, at the begin or the end. */
static inline double trial_mean(const struct trial *trial, size_t i, bool end)
{
	double sum = 0;

	for (int r = 0; r < trial->world; r++)
		sum += (double)(end ? trial->end[r].x[i] : trial->begin[r][i]);
	return sum / trial->world;
}

/* The largest distance of a weight from its mean over the ranks. */
static inline double trial_spread(const struct trial *trial)
{
	double most = 0;

	for (size_t i = 0; i < COUNT; i++)
		for (int r = 0; r < trial->world; r++)
			most = fmax(most,
				    fabs((double)trial->end[r].x[i] - trial_mean(trial, i, true)));
	return most;
}

/* At what is stopped and what goes on the bits are those of what never stopped. */
static inline void check_resume(const struct trial *like, const char *transport)
{
	struct trial *whole = trial_new(like), *half = trial_new(like), *rest;
	struct trial second = *like;

	trial_run(whole, transport);
	half->steps = like->steps / 2;
	trial_run(half, transport);
	second.from = half;
	second.first_step = half->steps;
	second.steps = like->steps - half->steps;
	rest = trial_new(&second);
	trial_run(rest, transport);
	for (int r = 0; r < like->world; r++) {
		assert(memcmp(rest->end[r].x, whole->end[r].x, sizeof(float[COUNT])) == 0);
		assert(rest->end[r].floats == whole->end[r].floats);
		assert(memcmp(rest->end[r].state, whole->end[r].state,
			      whole->end[r].floats * sizeof(float)) == 0);
	}
	free(whole);
	free(half);
	free(rest);
}

#endif
