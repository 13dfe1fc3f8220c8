/*
 * Times whole sums of compressed vectors, with ranks as threads:
 *
 *	exchange RATE RANKS COUNT COLLECTIVE NAME [KEY VALUE]...
 *
 * over one switch, to which each rank has an emulated link of RATE ("100mbit"; 0: none are
 * emulated), in the way of COLLECTIVE, as in `compress.collective`. Prints the median seconds, and
 *the most bytes that a rank sends in a sum.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include "lib/clock.h"
#include "runtime/coll_measure.h"
#include "runtime/exchange.h"
#include "tests/bench/part.h"
#include "tests/unit/cluster.h"

#define TIME_S 2.0

enum { ROUNDS_MOST = 10000, ROUNDS_LEAST = 5 };

struct bench {
	struct part part;
	size_t count;
	int collective;
	double seconds[ROUNDS_MOST];
	size_t rounds;
	atomic_bool over;
	_Atomic uint64_t sent;
};

static struct emulator *emulator_of(const char *rate, int world)
{
	char path[] = "/tmp/dstrain-exchange-XXXXXX";
	int file = mkstemp(path);
	struct buf text = { 0 };
	struct emulator *emulator;
	struct error err;

	buf_addf(&text, "nic: %s\ndelay: 100us\nhosts:\n", rate);
	for (int r = 0; r < world; r++)
		buf_addf(&text, "  - node%d\n", r);
	file_close(&file);
	cluster_must(file_write(path, text.data, text.length, &err), &err);
	emulator = emulator_new(path, NULL, world, &err);
	cluster_must(emulator ? 0 : -1, &err);
	unlink(path);
	buf_release(&text);
	return emulator;
}

/* The first rank says when it is over, in a step that all take. */
static bool go_on(struct bench *bench, struct net *net, const struct group *world, double end)
{
	float more = net_rank(net) == 0 && (clock_now() < end || bench->rounds < ROUNDS_LEAST) &&
		     bench->rounds < ROUNDS_MOST;
	struct error err;

	cluster_must(coll_broadcast(net, world, 0, &more, sizeof(more), &err), &err);
	cluster_must(coll_barrier(net, world, &err), &err);
	return more != 0;
}

static void body(int rank, struct net *net, void *arg)
{
	struct bench *bench = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct exchange_env env = { .net = net,
				    .params = { .momentum = 0.9, .collective = bench->collective },
				    .count = bench->count,
				    .coder = { .compressor = &bench->part, .seed = 1 } };
	struct exchange *exchange = exchange_new(&env);
	float *x = xaligned(bench->count * sizeof(*x));
	struct coll_cost cost;
	struct error err;
	double end;

	cluster_must(coll_measure(net, &world, &cost, &err), &err);
	end = clock_now() + TIME_S;
	for (size_t step = 0; go_on(bench, net, &world, end); step++) {
		struct rng rng = rng_make((uint64_t)rank, RNG_COMPRESS, 0, 0);
		uint64_t before = net_bytes(net).payload_sent;
		double begun;

		for (size_t i = 0; i < bench->count; i++)
			x[i] = (float)rng_normal(&rng, i);
		cluster_must(coll_barrier(net, &world, &err), &err);
		begun = clock_now();
		cluster_must(exchange_sum(exchange, &world, step, 0, x, bench->count, &err), &err);
		if (rank == 0)
			bench->seconds[bench->rounds++] = clock_now() - begun;
		if (net_bytes(net).payload_sent - before > atomic_load(&bench->sent))
			atomic_store(&bench->sent, net_bytes(net).payload_sent - before);
	}
	exchange_free(exchange);
	free(x);
}

/* Its number, or -1. */
static int collective_of(const char *name)
{
	const struct opt *row = exchange_options;

	while (strcmp(row->key, "collective") != 0)
		row++;
	for (int i = 0; row->choices[i]; i++)
		if (strcmp(row->choices[i], name) == 0)
			return i;
	return -1;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static struct bench bench;
	int world = argc > 2 ? (int)number(argv[2]) : 0;
	struct cluster cluster = { .spec = "inproc", .world = world };
	struct cluster_rank ranks[CLUSTER_MAX];

	bench.count = argc > 5 ? number(argv[3]) : 0;
	bench.collective = argc > 5 ? collective_of(argv[4]) : -1;
	if (!bench.count || bench.collective < 0 || world < 1 || world > CLUSTER_MAX) {
		fprintf(stderr,
			"usage: exchange RATE RANKS COUNT COLLECTIVE NAME [KEY VALUE]...\n");
		return 2;
	}
	bench.part = make_part(&compressors, argv[5], argv + 6);
	cluster_prepare(&cluster);
	if (strcmp(argv[1], "0") != 0) {
		cluster.emulator = emulator_of(argv[1], world);
		net_hub_emulate(cluster.hub, cluster.emulator);
	}
	for (int r = 0; r < world; r++) {
		ranks[r] = (struct cluster_rank){
			.cluster = &cluster, .rank = r, .body = body, .arg = &bench
		};
		assert(pthread_create(&ranks[r].thread, NULL, cluster_thread, &ranks[r]) == 0);
	}
	for (int r = 0; r < world; r++)
		pthread_join(ranks[r].thread, NULL);
	qsort(bench.seconds, bench.rounds, sizeof(double), ascending);
	printf("%.6f %llu\n", bench.seconds[bench.rounds / 2], (unsigned long long)bench.sent);
	cluster_release(&cluster);
	part_release(&bench.part);
	return 0;
}
