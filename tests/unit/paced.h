/*
 * Runs a strategy whose ranks go at their own pace, without a model: each rank's weights stay as
 * they are but for what the strategy does, and a step takes as long as it is drawn. What the whole
 * must keep is looked at where all meet.
 */
#ifndef DSTRAIN_TESTS_PACED_H
#define DSTRAIN_TESTS_PACED_H

#include <math.h>

#include "lib/clock.h"
#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/rng.h"
#include "runtime/state_array.h"
#include "runtime/sync/sync.h"
#include "tests/unit/cluster.h"

enum { PACED_COUNT = 64 };

struct paced {
	const struct sync_strategy *strategy;
	const void *params;
	size_t steps, every; /* of each rank, on the average; between places where all meet */
	double delay_s;	     /* of a step, at most */

	double apart[CLUSTER_MAX]; /* of each rank from the mean, when it was over; relative */
	size_t done[CLUSTER_MAX];  /* steps */
	size_t meetings;
};

static inline float paced_weight(int rank, size_t i)
{
	struct rng rng = rng_make(7, RNG_DATA, (uint64_t)rank, 0);

	return (float)rng_uniform(&rng, i);
}

/* What a rank's weights count: its mass, where the strategy has one. Of all ranks they sum to as
 * many as there are. */
static inline double paced_mass(struct sync *sync, struct net *net, const struct group *world)
{
	struct state_array arrays[STATE_ARRAYS];
	size_t count = sync_state(sync, arrays);
	float parts[2] = { 1, 0 }, sums[2];
	struct error err;

	for (size_t i = 0; i < count; i++)
		if (strcmp(arrays[i].name, "mass") == 0)
			memcpy(parts, arrays[i].x, sizeof(parts));
	memcpy(sums, parts, sizeof(parts));
	cluster_must(coll_allreduce(net, world, COLL_RING, sums, 2, &err), &err);
	assert(fabs((double)sums[0] + (double)sums[1] - world->count) < 1e-6 * world->count);
	return (double)parts[0] + (double)parts[1];
}

/* The mean of all ranks' weights is what it was. Returns this rank's distance from it. */
static inline double paced_check(struct sync *sync, struct net *net, const struct group *world,
				 const float *weight)
{
	double distance = 0, size = 0, mass = paced_mass(sync, net, world);
	float share[PACED_COUNT];
	const float *mean;
	struct error err;

	for (size_t i = 0; i < PACED_COUNT; i++)
		share[i] = (float)(mass * (double)weight[i]);
	cluster_must(sync_mean(sync, share, &mean, &err), &err);
	for (size_t i = 0; i < PACED_COUNT; i++) {
		double before = 0;

		for (int r = 0; r < net_world(net); r++)
			before += (double)paced_weight(r, i) / net_world(net);
		assert(fabs((double)mean[i] - before) < 5e-6);
		distance += pow((double)weight[i] - (double)mean[i], 2);
		size += pow((double)mean[i], 2);
	}
	return sqrt(distance / size);
}

static inline void paced_step(struct sync *sync, const struct paced *run, int rank, float *weight)
{
	float grad[PACED_COUNT] = { 0 };
	size_t step = sync_steps(sync);
	struct rng rng = rng_make(8, RNG_DATA, (uint64_t)rank, 0);
	struct error err;

	sync_step(sync, step, weight, grad);
	clock_sleep(run->delay_s * pow(rng_uniform(&rng, step), 3));
	sync_ready(sync, 0, PACED_COUNT);
	cluster_must(sync_gradients(sync, &err), &err);
	cluster_must(sync_weights(sync, step, weight, &err), &err);
}

static inline void paced_body(int rank, struct net *net, void *arg)
{
	struct paced *run = arg;
	struct part part = { .entry = &run->strategy->entry,
			     .params = (void *)(uintptr_t)run->params };
	struct part none = part_default(&compressors, "none");
	struct exchange_env exchange = { .net = net,
					 .count = PACED_COUNT,
					 .coder = { .compressor = &none } };
	struct sync_params params = { .bucket_bytes = 1024 };
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct sync_env env = { .net = net,
				.exchange = exchange_new(&exchange),
				.world = &world,
				.count = PACED_COUNT,
				.seed = 3,
				.budget = { .steps = run->steps, .eval_every = run->every } };
	struct sync_cut cut = { 0 };
	float weight[PACED_COUNT];
	struct sync *sync = NULL;
	struct error err;

	for (size_t i = 0; i < PACED_COUNT; i++)
		weight[i] = paced_weight(rank, i);
	cluster_must(sync_new(&sync, &part, &params, &env, &err), &err);
	cluster_must(coll_barrier(net, &world, &err), &err);
	while (!cut.stop) {
		int go = sync_go(sync, weight, &err);

		cluster_must(go < 0 ? -1 : 0, &err);
		if (go) {
			paced_step(sync, run, rank, weight);
			continue;
		}
		cluster_must(sync_cut(sync, weight, &cut, &err), &err);
		run->apart[rank] = paced_check(sync, net, &world, weight);
		if (rank == 0)
			run->meetings++;
	}
	run->done[rank] = sync_steps(sync);
	sync_free(sync);
	exchange_free(env.exchange);
	part_release(&none);
}

#endif
