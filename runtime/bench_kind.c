/*
 * The collectives that a bench measures: how each is run, and what it has to yield. Sizes and
 * bandwidths are defined as in nccl-tests.
 */
#include "runtime/bench_kind.h"

#include <string.h>

#include "lib/memory.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

enum {
	SLICE_FLOATS = 4,  /* slices are multiples of 16 bytes */
	RANK_VALUES = 64,  /* what tells ranks from each other */
	SENDRECV_TAG = 255 /* no kind of collective */
};

#define NOT_THERE -1.0F

/* A whole number from 1 on that tells its place from others. The sum over 65535 ranks is below
 * 2^24, up to where floats are exact in whatever order they are added. */
static float place_value(size_t i)
{
	return (float)((uint32_t)i * UINT32_C(2654435761) >> 25) + 1;
}

static float rank_value(int rank)
{
	return (float)(rank % RANK_VALUES);
}

static void set(float *x, size_t start, size_t count, int rank)
{
	for (size_t i = start; i < start + count; i++)
		x[i] = place_value(i) + rank_value(rank);
}

static void clear(float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = NOT_THERE;
}

static uint64_t differ(const float *x, size_t start, size_t count, int rank)
{
	uint64_t wrong = 0;

	for (size_t i = start; i < start + count; i++)
		wrong += x[i] != place_value(i) + rank_value(rank);
	return wrong;
}

static uint64_t differ_from_sum(const float *x, size_t start, size_t count,
				const struct group *group)
{
	float n = (float)group->count, ranks = 0;
	uint64_t wrong = 0;

	for (int i = 0; i < group->count; i++)
		ranks += rank_value(group->ranks[i]);
	for (size_t i = start; i < start + count; i++)
		wrong += x[i] != n * place_value(i) + ranks;
	return wrong;
}

static void fill_all(const struct bench_vectors *v, const struct group *group)
{
	set(v->x, 0, v->count, group->ranks[group->index]);
}

static int run_allreduce(struct net *net, const struct group *group, enum coll_algorithm algorithm,
			 const struct bench_vectors *v, struct error *err)
{
	return coll_allreduce(net, group, algorithm, v->x, v->count, err);
}

static uint64_t wrong_allreduce(const struct bench_vectors *v, const struct group *group)
{
	return differ_from_sum(v->x, 0, v->count, group);
}

static int run_reduce_scatter(struct net *net, const struct group *group,
			      enum coll_algorithm algorithm, const struct bench_vectors *v,
			      struct error *err)
{
	(void)algorithm;
	return coll_reduce_scatter(net, group, v->x, v->count, err);
}

static uint64_t wrong_reduce_scatter(const struct bench_vectors *v, const struct group *group)
{
	size_t length;
	size_t start = slice_start(v->count, (size_t)group->count, (size_t)group->index, &length);

	return differ_from_sum(v->x, start, length, group);
}

static int run_allgather(struct net *net, const struct group *group, enum coll_algorithm algorithm,
			 const struct bench_vectors *v, struct error *err)
{
	(void)algorithm;
	return coll_allgather(net, group, v->x, v->count, err);
}

static void fill_allgather(const struct bench_vectors *v, const struct group *group)
{
	size_t length;
	size_t start = slice_start(v->count, (size_t)group->count, (size_t)group->index, &length);

	clear(v->x, v->count);
	set(v->x, start, length, group->ranks[group->index]);
}

static uint64_t wrong_allgather(const struct bench_vectors *v, const struct group *group)
{
	uint64_t wrong = 0;

	for (int i = 0; i < group->count; i++) {
		size_t length;
		size_t start = slice_start(v->count, (size_t)group->count, (size_t)i, &length);

		wrong += differ(v->x, start, length, group->ranks[i]);
	}
	return wrong;
}

static int run_broadcast(struct net *net, const struct group *group, enum coll_algorithm algorithm,
			 const struct bench_vectors *v, struct error *err)
{
	(void)algorithm;
	return coll_broadcast(net, group, 0, v->x, v->count * sizeof(float), err);
}

static void fill_broadcast(const struct bench_vectors *v, const struct group *group)
{
	if (group->index == 0)
		fill_all(v, group);
	else
		clear(v->x, v->count);
}

static uint64_t wrong_broadcast(const struct bench_vectors *v, const struct group *group)
{
	return differ(v->x, 0, v->count, group->ranks[0]);
}

/* Everybody to the next one, at the same time. */
static int run_sendrecv(struct net *net, const struct group *group, enum coll_algorithm algorithm,
			const struct bench_vectors *v, struct error *err)
{
	struct net_request requests[2];
	size_t bytes = v->count * sizeof(float);

	(void)algorithm;
	net_post_recv(net, group_neighbour(group, -1), SENDRECV_TAG, v->other, bytes, &requests[0]);
	net_post_send(net, group_neighbour(group, 1), SENDRECV_TAG, v->x, bytes, &requests[1]);
	return net_wait_all(net, requests, ARRAY_SIZE(requests), err);
}

static void fill_sendrecv(const struct bench_vectors *v, const struct group *group)
{
	fill_all(v, group);
	clear(v->other, v->count);
}

static uint64_t wrong_sendrecv(const struct bench_vectors *v, const struct group *group)
{
	return differ(v->other, 0, v->count, group_neighbour(group, -1));
}

static const struct bench_kind kinds[] = {
	{ "allreduce", "sum", .passes = 2, .run = run_allreduce, .fill = fill_all,
	  .wrong = wrong_allreduce },
	{ "reduce_scatter", "sum", .sliced = true, .passes = 1, .run = run_reduce_scatter,
	  .fill = fill_all, .wrong = wrong_reduce_scatter },
	{ "allgather", "none", .sliced = true, .passes = 1, .run = run_allgather,
	  .fill = fill_allgather, .wrong = wrong_allgather },
	{ "broadcast", "none", .run = run_broadcast, .fill = fill_broadcast,
	  .wrong = wrong_broadcast },
	{ "sendrecv", "none", .apart = true, .run = run_sendrecv, .fill = fill_sendrecv,
	  .wrong = wrong_sendrecv },
};

const char *const bench_kind_names[] = { "allreduce", "reduce_scatter", "allgather",
					 "broadcast", "sendrecv",	NULL };

const struct bench_kind *bench_kind_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

size_t bench_kind_count(const struct bench_kind *kind, uint64_t bytes, uint32_t world)
{
	size_t count = (size_t)(bytes / sizeof(float));

	return kind->sliced ? count / world / SLICE_FLOATS * SLICE_FLOATS * world : count;
}

double bench_kind_bus(const struct bench_kind *kind, uint32_t world)
{
	return kind->passes != 0 ? kind->passes * (world - 1) / world : 1;
}
