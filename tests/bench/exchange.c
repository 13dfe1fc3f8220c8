/*
 * Times whole sums of compressed vectors, with ranks as threads:
 *
 *	exchange NETWORK PARTS RANKS COUNT COLLECTIVE NAME [KEY VALUE]...
 *
 * over one switch, to which each rank has an emulated link of a rate ("100mbit"; 0: none are
 * emulated), or over links from a file as of transport.emulate, in the way of COLLECTIVE, as in
 * `compress.collective`; between all ranks (PARTS 1), or only across so many parts of neighbours.
 * Prints the median seconds, and the most bytes that a rank sends in a sum.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include "lib/clock.h"
#include "lib/groups.h"
#include "runtime/coll_measure.h"
#include "runtime/exchange.h"
#include "tests/bench/part.h"
#include "tests/unit/cluster.h"

#define TIME_S 2.0

enum { ROUNDS_MOST = 10000, ROUNDS_LEAST = 3 };

struct bench {
	struct part part;
	size_t count;
	int collective, parts;
	double seconds[ROUNDS_MOST];
	size_t rounds;
	atomic_bool over;
	_Atomic uint64_t sent;
};

/* One switch. */
static struct emulator *emulator_of_rate(const char *rate, int world, struct error *err)
{
	char path[] = "/tmp/dstrain-exchange-XXXXXX";
	int file = mkstemp(path);
	struct emulator *emulator;
	struct buf text = { 0 };

	buf_addf(&text, "nic: %s\ndelay: 100us\nhosts:\n", rate);
	for (int r = 0; r < world; r++)
		buf_addf(&text, "  - node%d\n", r);
	file_close(&file);
	cluster_must(file_write(path, text.data, text.length, err), err);
	emulator = emulator_new(path, NULL, world, err);
	unlink(path);
	buf_release(&text);
	return emulator;
}

static void emulate(struct cluster *cluster, const char *network)
{
	struct error err;

	if (strcmp(network, "0") == 0)
		return;
	cluster->emulator = file_exists(network) ? emulator_new(network, NULL, cluster->world, &err)
						 : emulator_of_rate(network, cluster->world, &err);
	cluster_must(cluster->emulator ? 0 : -1, &err);
	net_hub_emulate(cluster->hub, cluster->emulator);
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

/* As near to a square as the count allows. */
static struct coder_span matrix_of(size_t count)
{
	struct coder_span span = { .name = "matrix", .count = count, .rows = 1 };

	for (size_t rows = 1; rows * rows <= count; rows++)
		if (count % rows == 0)
			span.rows = rows;
	return span;
}

static void body(int rank, struct net *net, void *arg)
{
	struct bench *bench = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct coder_span span = matrix_of(bench->count);
	struct partition partition =
		partition_random(world.count, world.count / bench->parts, 0, 0);
	struct exchange_env env = {
		.net = net,
		.algorithm = bench->parts > 1 ? COLL_HIERARCHICAL : COLL_AUTO,
		.params = { .momentum = 0.9, .collective = bench->collective },
		.count = bench->count,
		.coder = { .compressor = &bench->part, .seed = 1, .spans = &span, .span_count = 1 }
	};
	struct exchange *exchange = exchange_new(&env);
	float *x = xaligned(bench->count * sizeof(*x));
	struct coll_cost cost;
	struct error err;
	double end;

	for (int r = 0; r < world.count; r++)
		partition.ranks[r] = r;
	world.parts = bench->parts > 1 ? coll_parts_new(&partition) : NULL;
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
	coll_parts_free(world.parts);
	partition_release(&partition);
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
	int world = argc > 6 ? (int)number(argv[3]) : 0;
	struct cluster cluster = { .spec = "inproc", .world = world };

	bench.parts = argc > 6 ? (int)number(argv[2]) : 0;
	bench.count = argc > 6 ? number(argv[4]) : 0;
	bench.collective = argc > 6 ? collective_of(argv[5]) : -1;
	if (!bench.count || bench.collective < 0 || world < 1 || world > CLUSTER_MAX ||
	    bench.parts < 1 || bench.parts > world) {
		fprintf(stderr, "usage: exchange NETWORK PARTS RANKS COUNT COLLECTIVE NAME "
				"[KEY VALUE]...\n");
		return 2;
	}
	bench.part = make_part(&compressors, argv[6], argv + 7);
	cluster_prepare(&cluster);
	emulate(&cluster, argv[1]);
	cluster_start(&cluster, body, &bench);
	qsort(bench.seconds, bench.rounds, sizeof(double), ascending);
	printf("%.6f %llu\n", bench.seconds[bench.rounds / 2], (unsigned long long)bench.sent);
	cluster_release(&cluster);
	part_release(&bench.part);
	return 0;
}
