/* Ranks that average their weights with ds_sync, and what each of them has after every step. */
#ifndef DSTRAIN_TESTS_DS_SYNC_H
#define DSTRAIN_TESTS_DS_SYNC_H

#include <math.h>

#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"
#include "tests/unit/part.h"

enum { COUNT = 48, STEPS_MAX = 64, WORLD_MAX = 16 };

struct trial {
	const char *const *options; /* of ds_sync, as of part_with */
	int world;
	const int *order; /* [world] of the ranks in sync_env.world; NULL: as numbered */
	const struct plan *plan;
	size_t first_step, steps;
	double rate;   /* of learning; 0: weights change by averages alone */
	bool identity; /* rank r begins with 1 at place r and 0 elsewhere, else with random weights
			*/
	bool equal;    /* all begin with the same */
	bool same_gradients;	  /* all ranks' gradients are rank 0's */
	const struct trial *from; /* goes on with what this one ended with */
	enum coll_algorithm algorithm;

	/* What came of it, by step and rank: x[0] is how it began. */
	float x[STEPS_MAX + 1][WORLD_MAX][COUNT];
	float slot[STEPS_MAX + 1][WORLD_MAX][COUNT];
	float gradient[STEPS_MAX][WORLD_MAX][COUNT]; /* of the rank's own samples */
	uint64_t payload[WORLD_MAX], headers[WORLD_MAX];
};

static inline struct trial *trial_new(const struct trial *like)
{
	struct trial *trial = xmalloc(sizeof(*trial));

	*trial = *like;
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
		gradient[i] =
			trial->rate == 0 ? 0 : 0.5f * (x[i] - trial_number(whose + 100, step, i));
}

static inline void trial_begin(const struct trial *trial, int rank, float *x, float *slot)
{
	int whose = trial->equal ? 0 : rank;

	for (size_t i = 0; i < COUNT; i++) {
		x[i] = trial->identity ? i == (size_t)rank : trial_number(whose, 1000, i);
		slot[i] = trial_number(whose, 1001, i);
	}
	if (trial->from) {
		memcpy(x, trial->from->x[trial->from->steps][rank], COUNT * sizeof(*x));
		memcpy(slot, trial->from->slot[trial->from->steps][rank], COUNT * sizeof(*x));
	}
}

static inline void trial_step(struct trial *trial, struct sync *sync, int rank, size_t step,
			      float *x, float *slot)
{
	size_t at = step - trial->first_step;
	float block[COUNT], *gradient = trial->gradient[at][rank];
	struct error err;

	sync_step(sync, step, x, block);
	trial_gradient(trial, rank, step, x, gradient);
	for (size_t i = 0; i < COUNT; i++)
		block[i] = gradient[i] / (float)trial->world;
	sync_ready(sync, 0, COUNT);
	cluster_must(sync_gradients(sync, &err), &err);
	for (size_t i = 0; i < COUNT; i++) {
		slot[i] = trial->rate == 0 ? slot[i] : 0.9f * slot[i] + block[i];
		x[i] -= (float)trial->rate * block[i];
	}
	cluster_must(sync_weights(sync, step, x, &err), &err);
	memcpy(trial->x[at + 1][rank], x, COUNT * sizeof(*x));
	memcpy(trial->slot[at + 1][rank], slot, COUNT * sizeof(*x));
}

/* One of the ranks, with all that it needs. */
struct ds_sync_rank {
	struct part strategy, compressor;
	int ranks[CLUSTER_MAX];
	struct group world;
	float *slots[1];
	struct exchange *exchange;
	struct sync *sync;
};

static inline void ds_sync_open(struct ds_sync_rank *self, const struct trial *trial, int rank,
				struct net *net, float *slot)
{
	struct exchange_env exchange = { .net = net,
					 .algorithm = trial->algorithm,
					 .count = COUNT,
					 .coder = { .compressor = &self->compressor } };
	struct sync_params params = { .bucket_bytes = 1024 };
	struct sync_env env = { .net = net,
				.world = &self->world,
				.plan = trial->plan,
				.count = COUNT,
				.seed = 42,
				.slots = self->slots,
				.slot_count = 1 };
	struct error err;

	self->strategy = part_with(registry_find(&sync_strategies, "ds_sync"), trial->options);
	self->compressor = part_default(&compressors, "none");
	self->slots[0] = slot;
	self->world = group_world(self->ranks, trial->world, rank);
	if (trial->order) {
		self->world.ranks = trial->order;
		self->world.index = group_index(&self->world, rank);
	}
	env.exchange = self->exchange = exchange_new(&exchange);
	cluster_must(sync_new(&self->sync, &self->strategy, &params, &env, &err), &err);
}

static inline void ds_sync_close(struct ds_sync_rank *self)
{
	sync_free(self->sync);
	exchange_free(self->exchange);
	part_release(&self->strategy);
	part_release(&self->compressor);
}

static inline void trial_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct ds_sync_rank self;
	float x[COUNT], slot[COUNT];

	trial_begin(trial, rank, x, slot);
	memcpy(trial->x[0][rank], x, sizeof(x));
	memcpy(trial->slot[0][rank], slot, sizeof(slot));
	ds_sync_open(&self, trial, rank, net, slot);
	for (size_t i = 0; i < trial->steps; i++)
		trial_step(trial, self.sync, rank, trial->first_step + i, x, slot);
	trial->payload[rank] = net_bytes(net).payload_sent;
	trial->headers[rank] = net_bytes(net).header_sent;
	ds_sync_close(&self);
}

/* "inproc", "tcp", ...: what cluster_part takes. */
static inline void trial_run(struct trial *trial, const char *transport)
{
	cluster_run(transport, trial->world, trial_body, trial);
}

static inline double trial_mean(float (*x)[COUNT], int world, size_t i)
{
	double sum = 0;

	for (int r = 0; r < world; r++)
		sum += x[r][i];
	return sum / world;
}

/* The largest distance of a weight from its mean over the ranks. */
static inline double trial_spread(float (*x)[COUNT], int world)
{
	double most = 0;

	for (size_t i = 0; i < COUNT; i++) {
		double mean = trial_mean(x, world, i);

		for (int r = 0; r < world; r++)
			most = fmax(most, fabs(x[r][i] - mean));
	}
	return most;
}

#endif
