/* Ranks that train on bowls of their own with any strategy, and what each has after every step. */
#ifndef DSTRAIN_TESTS_ROUNDS_H
#define DSTRAIN_TESTS_ROUNDS_H

#include <math.h>

#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"
#include "tests/unit/part.h"

enum { COUNT = 48, STEPS_MAX = 96, WORLD_MAX = 4 };

struct trial {
	const char *strategy;
	const char *const *options; /* of it, as of part_with */
	const char *compressor;	    /* NULL: none */
	int world;
	size_t first_step, steps;
	uint64_t seed;		/* 0: 42 */
	size_t all_steps;	/* of the run, this and what may follow; 0: steps */
	float rate, momentum;	/* of the optimizer */
	bool same_gradients;	/* all ranks' gradients are rank 0's */
	float slope[WORLD_MAX]; /* by how much more a rank's bowl is steep; 0: as 1 */
	const double *share;	/* [world] */
	const size_t *samples;	/* [world] */
	double (*loss)(const struct trial *, int rank, size_t step, const float *x); /* NULL: of
										      * the bowl */
	const struct trial *from; /* goes on with what this one ended with */

	/* What came of it, by step and rank: x[0] is how it began. */
	float x[STEPS_MAX + 1][WORLD_MAX][COUNT];
	float gradient[STEPS_MAX][WORLD_MAX][COUNT]; /* of the rank's own samples */
	float slot[WORLD_MAX][COUNT];
	float kept[WORLD_MAX][2 * STATE_ARRAYS][COUNT]; /* what a checkpoint would hold: of the
							 * strategy, then of the exchange */
	const char *names[WORLD_MAX][2 * STATE_ARRAYS]; /* of these */
	size_t arrays[WORLD_MAX];
	uint64_t payload[STEPS_MAX + 1][WORLD_MAX];
};

/* With the numbers that tests leave to it. Caller frees. */
static inline struct trial *trial_new(const struct trial *like)
{
	struct trial *trial = xmalloc(sizeof(*trial));

	*trial = *like;
	trial->all_steps = trial->all_steps ? trial->all_steps : trial->steps;
	for (int r = 0; r < WORLD_MAX; r++)
		trial->slope[r] = trial->slope[r] > 0 ? trial->slope[r] : 1;
	assert(trial->steps <= STEPS_MAX && trial->world <= WORLD_MAX);
	return trial;
}

static inline float trial_number(int rank, size_t step, size_t i)
{
	struct rng rng = rng_make(7, RNG_DATA, (uint64_t)rank, step);

	return (float)(2 * rng_uniform(&rng, i) - 1);
}

/* Of a bowl whose bottom is elsewhere for each rank and step. */
static inline void trial_gradient(const struct trial *trial, int rank, size_t step, const float *x,
				  float *gradient)
{
	int whose = trial->same_gradients ? 0 : rank;

	for (size_t i = 0; i < COUNT; i++)
		gradient[i] = 0.5f * trial->slope[whose] *
			      (x[i] - trial_number(whose + 100, 0, i) -
			       0.2f * trial_number(whose + 200, step, i));
}

/* What a rank may ask for the loss of. */
struct trial_samples {
	const struct trial *trial;
	int rank;
};

/* Of the bowl: half the gradient times the way to its bottom. */
static inline double trial_loss(void *arg, size_t step, const float *x)
{
	const struct trial_samples *samples = arg;
	const struct trial *trial = samples->trial;
	float gradient[COUNT];
	double sum = 0;

	if (trial->loss)
		return trial->loss(trial, samples->rank, step, x);
	trial_gradient(trial, samples->rank, step, x, gradient);
	for (size_t i = 0; i < COUNT; i++)
		sum += pow((double)gradient[i], 2);
	return sum / (double)trial->slope[samples->rank];
}

static inline void trial_step(struct trial *trial, struct sync *sync, int rank, size_t step,
			      float *x)
{
	float block[COUNT], *gradient = trial->gradient[step - trial->first_step][rank];
	float *slot = trial->slot[rank];
	double share = trial->share ? trial->share[rank] : 1 / (double)trial->world;
	struct error err;

	sync_step(sync, step, x, block);
	trial_gradient(trial, rank, step, x, gradient);
	for (size_t i = 0; i < COUNT; i++)
		block[i] = gradient[i] * (float)share;
	sync_ready(sync, COUNT / 3, COUNT - COUNT / 3);
	sync_ready(sync, 0, COUNT / 3);
	cluster_must(sync_gradients(sync, &err), &err);
	for (size_t i = 0; i < COUNT; i++) {
		slot[i] = trial->momentum * slot[i] + block[i];
		x[i] -= trial->rate * slot[i];
	}
	cluster_must(sync_weights(sync, step, x, &err), &err);
}

static inline size_t trial_state(struct sync *sync, struct exchange *exchange,
				 struct state_array *arrays)
{
	size_t count = sync_state(sync, arrays);

	return count + exchange_state(exchange, arrays + count);
}

/* All begin with the same weights. */
static inline void trial_begin(struct trial *trial, struct sync *sync, struct exchange *exchange,
			       int rank, float *x)
{
	struct state_array arrays[2 * STATE_ARRAYS];
	const struct trial *from = trial->from;

	for (size_t i = 0; i < COUNT; i++)
		x[i] = trial_number(0, 1000, i);
	memset(trial->slot[rank], 0, sizeof(trial->slot[rank]));
	if (!from)
		return;
	memcpy(x, from->x[from->steps][rank], COUNT * sizeof(*x));
	memcpy(trial->slot[rank], from->slot[rank], COUNT * sizeof(*x));
	assert(trial_state(sync, exchange, arrays) == from->arrays[rank]);
	for (size_t i = 0; i < from->arrays[rank]; i++)
		memcpy(arrays[i].x, from->kept[rank][i], arrays[i].count * sizeof(float));
}

static inline void trial_keep(struct trial *trial, struct sync *sync, struct exchange *exchange,
			      int rank)
{
	struct state_array arrays[2 * STATE_ARRAYS];

	trial->arrays[rank] = trial_state(sync, exchange, arrays);
	for (size_t i = 0; i < trial->arrays[rank]; i++) {
		assert(arrays[i].count <= COUNT);
		memcpy(trial->kept[rank][i], arrays[i].x, arrays[i].count * sizeof(float));
		trial->names[rank][i] = arrays[i].name;
	}
}

static inline const float *trial_kept(const struct trial *trial, int rank, const char *name)
{
	for (size_t i = 0; i < trial->arrays[rank]; i++)
		if (strcmp(trial->names[rank][i], name) == 0)
			return trial->kept[rank][i];
	abort();
}

static inline void trial_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct part strategy =
		part_with(registry_find(&sync_strategies, trial->strategy), trial->options);
	struct part compressor =
		part_default(&compressors, trial->compressor ? trial->compressor : "none");
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, trial->world, rank);
	float x[COUNT], *slots[] = { trial->slot[rank] };
	struct trial_samples samples = { .trial = trial, .rank = rank };
	struct exchange_env exchange = {
		.net = net,
		.count = COUNT,
		.differences = PART_AS(&strategy, struct sync_strategy)->differences,
		.coder = { .compressor = &compressor, .seed = 42 }
	};
	struct sync_params params = { .bucket_bytes = 64 };
	struct sync_env env = { .net = net,
				.world = &world,
				.count = COUNT,
				.seed = trial->seed ? trial->seed : 42,
				.slots = slots,
				.slot_count = 1,
				.share = trial->share,
				.samples = trial->samples,
				.budget = { .first = trial->first_step, .steps = trial->all_steps },
				.loss = trial_loss,
				.loss_arg = &samples };
	struct sync *sync;
	struct error err;

	env.exchange = exchange_new(&exchange);
	cluster_must(sync_new(&sync, &strategy, &params, &env, &err), &err);
	trial_begin(trial, sync, env.exchange, rank, x);
	memcpy(trial->x[0][rank], x, sizeof(x));
	for (size_t s = 0; s < trial->steps; s++) {
		trial_step(trial, sync, rank, trial->first_step + s, x);
		memcpy(trial->x[s + 1][rank], x, sizeof(x));
		trial->payload[s + 1][rank] = net_bytes(net).payload_sent;
	}
	trial_keep(trial, sync, env.exchange, rank);
	sync_free(sync);
	exchange_free(env.exchange);
	part_release(&strategy);
	part_release(&compressor);
}

static inline void trial_run(struct trial *trial)
{
	cluster_run("inproc", trial->world, trial_body, trial);
}

/* Caller frees. */
static inline struct trial *trial_ran(const struct trial *like)
{
	struct trial *trial = trial_new(like);

	trial_run(trial);
	return trial;
}

/* After `completed` steps. */
static inline bool trial_ranks_agree(const struct trial *trial, size_t completed)
{
	for (int r = 1; r < trial->world; r++)
		if (memcmp(trial->x[completed][r], trial->x[completed][0],
			   sizeof(trial->x[completed][r])) != 0)
			return false;
	return true;
}

/* All steps that both have done, from the first of `b`: the same bits on all ranks. */
static inline bool trial_same(const struct trial *a, const struct trial *b)
{
	size_t skip = b->first_step - a->first_step;

	for (size_t s = 0; s <= b->steps && skip + s <= a->steps; s++)
		for (int r = 0; r < b->world; r++)
			if (memcmp(a->x[skip + s][r], b->x[s][r], sizeof(b->x[s][r])) != 0)
				return false;
	return true;
}

/* Whether a run that is stopped after `stop` steps goes on as if it had not been. */
static inline bool trial_resumes(const struct trial *like, size_t stop)
{
	struct trial *whole = trial_ran(like), *first, *second;
	struct trial part = *like;
	bool same;

	part.steps = stop;
	part.all_steps = like->steps;
	first = trial_ran(&part);
	part.first_step = stop;
	part.steps = like->steps - stop;
	part.from = first;
	second = trial_ran(&part);
	same = trial_same(whole, first) && trial_same(whole, second);
	free(whole);
	free(first);
	free(second);
	return same;
}

#endif
