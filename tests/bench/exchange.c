/* Times whole exchanges of one vector: exchange LINKS RANKS COUNT COLLECTIVE SCHEME [KEY VALUE]...,
 * LINKS being "none" (threads of one process) or "RATE,DELAY" (emulated). Prints the median seconds
 * of a sum and the bytes that a rank sends for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "runtime/coll_measure.h"
#include "runtime/exchange.h"
#include "runtime/rng.h"
#include "tests/bench/part.h"
#include "tests/unit/cluster.h"

#define TIME_S 1.5

enum { ROUNDS_MOST = 200, ROUNDS_LEAST = 3 };

struct bench {
	struct part part;
	size_t count;
	int collective;
	double times[ROUNDS_MOST];
	size_t rounds;
	uint64_t bytes; /* of a round, by rank 0 */
};

static int collective_of(const char *name)
{
	const char *const *names = NULL;
	int i = 0;

	for (const struct opt *row = exchange_options; row->key; row++)
		if (strcmp(row->key, "collective") == 0)
			names = row->choices;
	while (names[i] && strcmp(names[i], name) != 0)
		i++;
	assert(names[i]);
	return i;
}

static struct exchange *open_exchange(const struct bench *bench, struct net *net)
{
	struct exchange_env env = { .net = net,
				    .params = { .momentum = 0.9, .collective = bench->collective },
				    .count = bench->count,
				    .coder = { .compressor = &bench->part, .seed = 1 } };

	return exchange_new(&env);
}

/* Rank 0 says whether there is another round. */
static bool goes_on(struct bench *bench, struct net *net, const struct group *world, double end)
{
	struct error err;
	char more =
		bench->rounds < ROUNDS_LEAST || (bench->rounds < ROUNDS_MOST && clock_now() < end);

	cluster_must(coll_broadcast(net, world, 0, &more, sizeof(more), &err), &err);
	cluster_must(coll_barrier(net, world, &err), &err);
	return more;
}

static void body(int rank, struct net *net, void *arg)
{
	struct bench *bench = arg;
	struct exchange *exchange = open_exchange(bench, net);
	struct rng rng = rng_make(1, RNG_DATA, (uint64_t)rank, 0);
	float *gradient = xaligned(bench->count * sizeof(float));
	float *x = xaligned(bench->count * sizeof(float));
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct coll_cost cost;
	struct error err;
	double end;

	for (size_t i = 0; i < bench->count; i++)
		gradient[i] = (float)rng_normal(&rng, i);
	cluster_must(coll_measure(net, &world, &cost, &err), &err);
	end = clock_now() + TIME_S;
	for (size_t step = 0; goes_on(bench, net, &world, end); step++) {
		uint64_t sent = net_bytes(net).payload_sent;
		double begun = clock_now();

		memcpy(x, gradient, bench->count * sizeof(*x));
		cluster_must(exchange_sum(exchange, &world, step, 0, x, bench->count, &err), &err);
		sent = net_bytes(net).payload_sent - sent;
		cluster_must(coll_barrier(net, &world, &err), &err);
		if (rank == 0 && step > 0)
			bench->times[bench->rounds++] = clock_now() - begun;
		if (rank == 0)
			bench->bytes = sent;
	}
	exchange_free(exchange);
	free(gradient);
	free(x);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct cluster cluster = { .spec = "inproc" };
	struct bench bench = { .rounds = 0 };
	char *links = NULL, *comma;

	if (argc < 6) {
		fprintf(stderr, "usage: exchange LINKS RANKS COUNT COLLECTIVE SCHEME "
				"[KEY VALUE]...\n");
		return 2;
	}
	comma = strchr(argv[1], ',');
	if (comma)
		links = xasprintf("nic: %.*s\ndelay: %s\n", (int)(comma - argv[1]), argv[1],
				  comma + 1);
	cluster.emulated = links != NULL;
	cluster.links = links;
	cluster.world = (int)number(argv[2]);
	bench.count = number(argv[3]);
	bench.collective = collective_of(argv[4]);
	bench.part = make_part(&compressors, argv[5], argv + 6);
	cluster_go(&cluster, body, &bench);
	qsort(bench.times, bench.rounds, sizeof(double), ascending);
	printf("%.9f %llu\n", bench.times[bench.rounds / 2], (unsigned long long)bench.bytes);
	part_release(&bench.part);
	free(links);
	return 0;
}
