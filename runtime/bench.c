/* A rank that measures a collective instead of training. */
#include "runtime/bench.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/groups.h"
#include "lib/memory.h"
#include "lib/numbers.h"
#include "lib/wire.h"
#include "runtime/bench_kind.h"
#include "runtime/coll.h"
#include "runtime/coll_measure.h"
#include "runtime/job.h"
#include "runtime/outbox.h"
#include "runtime/rank.h"
#include "runtime/transport/transport.h"

enum { WARM_UP = 5, LEAST = 5, MOST = 10000 }; /* iterations */

#define SIZE_S 0.2 /* what the iterations of one size take together, if nobody says how many */

/* Everything that a rank owns. Zeroed is valid. */
struct bench {
	struct rank *rank;
	const struct bench_kind *kind;
	enum coll_algorithm algorithm;
	struct net *net;
	struct group world;
	struct coll_cost cost;
	struct partition by_host;
	int *ranks;
	struct bench_vectors vectors;
	double *seconds; /* [iterations] of this rank */
};

static const struct control_bench *wanted(const struct bench *bench)
{
	return &bench->rank->env->plan->bench;
}

static int set_up(struct bench *bench, struct error *err)
{
	const struct rank_env *env = bench->rank->env;
	size_t bytes = (size_t)wanted(bench)->last_bytes;

	bench->kind = bench_kind_find(wanted(bench)->collective);
	if (!bench->kind)
		return error_set(err, "no collective '%s'", wanted(bench)->collective);
	bench->algorithm = (enum coll_algorithm)env->job->sync_params.allreduce;
	bench->ranks = xcalloc(env->plan->world, sizeof(*bench->ranks));
	bench->world = group_world(bench->ranks, (int)env->plan->world, (int)bench->rank->rank);
	bench->vectors.x = xaligned(bytes);
	if (bench->kind->apart)
		bench->vectors.other = xaligned(bytes);
	bench->net = rank_connect(bench->rank, err);
	if (!bench->net)
		return -1;
	group_by_host(&bench->by_host, &bench->world, bench->net);
	bench->world.parts = coll_parts_new(&bench->by_host);
	return coll_measure(bench->net, &bench->world, &bench->cost, err);
}

/* One after the other, all ranks together at the beginning of each. */
static int repeat(struct bench *bench, uint64_t iterations, struct error *err)
{
	bench->seconds = xrealloc(bench->seconds, iterations, sizeof(*bench->seconds));
	for (uint64_t i = 0; i < iterations; i++) {
		double began;

		if (coll_barrier(bench->net, &bench->world, err) < 0)
			return -1;
		began = clock_now();
		if (bench->kind->run(bench->net, &bench->world, bench->algorithm, &bench->vectors,
				     err) < 0)
			return -1;
		bench->seconds[i] = clock_now() - began;
	}
	return 0;
}

/* Warms up; how many iterations then are enough, rank 0 decides for all. */
static int agree(struct bench *bench, uint64_t *iterations, struct error *err)
{
	double fastest = SIZE_S, took;
	struct buf word = { 0 };
	struct wire wire;
	int status = 0;

	for (int i = 0; i < WARM_UP && status == 0; i++) {
		took = clock_now();
		status = repeat(bench, 1, err);
		took = clock_now() - took;
		if (took < fastest)
			fastest = took;
	}
	*iterations = fastest * MOST <= SIZE_S ? MOST : (uint64_t)(SIZE_S / fastest);
	if (*iterations < LEAST)
		*iterations = LEAST;
	if (wanted(bench)->iterations)
		*iterations = wanted(bench)->iterations;
	wire_put_u64(&word, *iterations);
	if (status == 0)
		status = coll_broadcast(bench->net, &bench->world, 0, word.data, word.length, err);
	wire = wire_reader(word.data, word.length);
	*iterations = wire_get_u64(&wire);
	buf_release(&word);
	return status;
}

/* What the ranks found, put together. `all` holds each one's words behind the other. */
static void sum_up(struct control_row *row, const unsigned char *all, size_t length)
{
	double *slowest = xcalloc(row->iterations, sizeof(*slowest));
	struct wire wire = wire_reader(all, length);

	while (wire.left) {
		row->wrong += wire_get_u64(&wire);
		for (uint64_t i = 0; i < row->iterations; i++) {
			double seconds = wire_get_f64(&wire);

			if (seconds > slowest[i])
				slowest[i] = seconds;
		}
	}
	row->seconds = numbers_median(slowest, row->iterations);
	free(slowest);
}

/* Everybody's times and errors to rank 0's orchestrator. */
static int report(struct bench *bench, struct control_row *row, uint64_t wrong, struct error *err)
{
	size_t world = (size_t)bench->world.count, total = 0;
	size_t *starts = xcalloc(2 * world, sizeof(*starts)), *lengths = starts + world;
	unsigned char *all = NULL;
	struct buf mine = { 0 }, frame = { 0 };
	int status;

	wire_put_u64(&mine, wrong);
	for (uint64_t i = 0; i < row->iterations; i++)
		wire_put_f64(&mine, bench->seconds[i]);
	status = coll_allgather_bytes(bench->net, &bench->world, mine.data, mine.length, &all,
				      starts, lengths, err);
	for (size_t i = 0; i < world; i++)
		total += lengths[i];
	if (status == 0 && bench->rank->rank == 0) {
		sum_up(row, all, total);
		control_put_row(&frame, 0, row);
		outbox_send(bench->rank->env->outbox, &frame);
	}
	buf_release(&mine);
	free(all);
	free(starts);
	return status;
}

static int measure(struct bench *bench, uint64_t bytes, struct error *err)
{
	const struct bench_kind *kind = bench->kind;
	struct bench_vectors *vectors = &bench->vectors;
	uint32_t world = (uint32_t)bench->world.count;
	struct control_row row = { 0 };

	vectors->count = bench_kind_count(kind, bytes, world);
	row.bytes = vectors->count * sizeof(float);
	row.count = kind->sliced ? vectors->count / world : vectors->count;
	/* Sums of sums of zeros stay what they are: no infinity that might be added faster. */
	memset(vectors->x, 0, row.bytes);
	if (agree(bench, &row.iterations, err) < 0 || repeat(bench, row.iterations, err) < 0)
		return -1;
	kind->fill(vectors, &bench->world);
	if (coll_barrier(bench->net, &bench->world, err) < 0 ||
	    kind->run(bench->net, &bench->world, bench->algorithm, vectors, err) < 0)
		return -1;
	return report(bench, &row, kind->wrong(vectors, &bench->world), err);
}

static int measure_all(struct bench *bench, struct error *err)
{
	const struct control_bench *sizes = wanted(bench);

	for (uint64_t bytes = sizes->first_bytes; bytes <= sizes->last_bytes;
	     bytes *= sizes->factor)
		if (measure(bench, bytes, err) < 0)
			return -1;
	return coll_barrier(bench->net, &bench->world, err); /* nobody still waits for us */
}

static void bench_release(struct bench *bench)
{
	net_close(bench->net);
	coll_parts_free(bench->world.parts);
	partition_release(&bench->by_host);
	free(bench->ranks);
	free(bench->vectors.x);
	free(bench->vectors.other);
	free(bench->seconds);
}

void *bench_main(void *arg)
{
	struct rank *rank = arg;
	struct bench bench = { .rank = rank };
	struct error err;
	int status = set_up(&bench, &err);

	if (status == 0) {
		rank_await_start(rank);
		status = measure_all(&bench, &err);
	}
	if (status == 0)
		rank_done(rank, 0);
	else
		rank_fail(rank, bench.kind != NULL, bench.net, &err);
	bench_release(&bench);
	return NULL;
}
