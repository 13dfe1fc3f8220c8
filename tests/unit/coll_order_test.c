/* Collectives add in one order, whichever way they take; groups that follow each other on a channel
 * and collectives that follow each other in a group keep apart. */
#include "tests/unit/unit.h"

#include <linux/tcp.h>
#include <math.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "runtime/coll.h"
#include "runtime/slice.h"
#include "tests/unit/cluster.h"

/* Around the limits of small vectors and of rounds. */
#ifdef __SANITIZE_THREAD__
static const size_t counts[] = { 1, 3, 17, 4097, 9001 };
#else
static const size_t counts[] = { 1, 2, 3, 17, 1000, 4095, 4096, 4097, 30011, 70001, 200003 };
#endif

static const enum coll_algorithm ordered[] = { COLL_AUTO, COLL_RING, COLL_DIRECT, COLL_FLAT };

/* Sizes so different that each order of additions rounds in its own way; some are not finite. */
static float element(int rank, size_t i)
{
	uint32_t mixed = ((uint32_t)i * 32 + (uint32_t)rank + 7) * UINT32_C(2654435761);

	if (i % 1009 == 1000)
		return rank % 2 ? INFINITY : -INFINITY;
	if (i % 1013 == 1001)
		return rank == 1 ? NAN : 1;
	return ldexpf((float)(mixed >> 8) - 0x1p23f, (int)(mixed >> 4 & 15) - 20);
}

static float in_ring_order(const struct group *group, size_t i, int slice)
{
	float sum = element(group->ranks[(slice + 1) % group->count], i);

	for (int k = 2; k <= group->count; k++)
		sum += element(group->ranks[(slice + k) % group->count], i);
	return sum;
}

/* Of slices first .. last - 1. */
static void check_order(const struct group *group, const float *x, size_t count, int first,
			int last)
{
	for (int slice = first; slice < last; slice++) {
		size_t length, start = slice_start(count, group->count, slice, &length);

		for (size_t i = start; i < start + length; i++) {
			float wanted = in_ring_order(group, i, slice);

			assert(isnan(wanted) ? isnan(x[i])
					     : memcmp(&x[i], &wanted, sizeof(wanted)) == 0);
		}
	}
}

static void fill(float *x, int rank, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = element(rank, i);
}

static void sum_all(struct net *net, const struct group *group, enum coll_algorithm algorithm,
		    float *x, size_t count)
{
	struct error err;

	fill(x, net_rank(net), count);
	cluster_must(coll_allreduce(net, group, algorithm, x, count, &err), &err);
	check_order(group, x, count, 0, group->count);
}

static void scatter_sums(struct net *net, const struct group *group, float *x, size_t count)
{
	struct error err;

	fill(x, net_rank(net), count);
	cluster_must(coll_reduce_scatter(net, group, x, count, &err), &err);
	check_order(group, x, count, group->index, group->index + 1);
	cluster_must(coll_allgather(net, group, x, count, &err), &err);
	check_order(group, x, count, 0, group->count);
}

static void order_body(int rank, struct net *net, void *arg)
{
	float *x = xmalloc(counts[ARRAY_SIZE(counts) - 1] * sizeof(*x));
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		for (size_t a = 0; a < ARRAY_SIZE(ordered); a++)
			sum_all(net, &world, ordered[a], x, counts[i]);
		scatter_sums(net, &world, x, counts[i]);
	}
	free(x);
}

static void all_that_auto_takes_adds_in_the_order_of_the_ring(void **state)
{
	(void)state;
	for (int n = 1; n <= 9; n++)
		cluster_run("inproc", n, order_body, NULL);
	cluster_run("tcp", 3, order_body, NULL);
	cluster_run("tcp encrypt=no", 5, order_body, NULL);
}

/* Ends of this process's connections through which at least `bytes` went out. */
static int busy_connections(size_t bytes)
{
	int busy = 0;

	for (int fd = 0; fd < 1024; fd++) {
		struct tcp_info about = { 0 };
		socklen_t length = sizeof(about);

		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &about, &length) == 0)
			busy += about.tcpi_bytes_acked >= bytes;
	}
	return busy;
}

/* All of a ring's connections lead to the right. Segments of slices of each algorithm and then some
 * go through each. */
static void long_body(int rank, struct net *net, void *arg)
{
	enum { LONG = 1400000, STREAMS = 4, LEAST = 256 << 10 };
	float *x = xmalloc(LONG * sizeof(*x));
	int ranks[CLUSTER_MAX], n = net_world(net);
	struct group world = group_world(ranks, n, rank);
	struct error err;

	(void)arg;
	assert(net_streams(net, !rank) == STREAMS);
	sum_all(net, &world, COLL_RING, x, LONG);
	cluster_must(coll_barrier(net, &world, &err), &err);
	assert(busy_connections(LEAST) == n * STREAMS);
	cluster_must(coll_barrier(net, &world, &err), &err);
	sum_all(net, &world, COLL_DIRECT, x, LONG);
	cluster_must(coll_barrier(net, &world, &err), &err);
	assert(busy_connections(LEAST) == n * (n - 1) * STREAMS);
	cluster_must(coll_barrier(net, &world, &err), &err);
	free(x);
}

static void long_vectors_take_all_streams(void **state)
{
	(void)state;
	cluster_run("tcp shared_memory=no streams=4 encrypt=no", 3, long_body, NULL);
}

/* A number that all ranks draw alike. */
static unsigned draw(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 8) % below;
}

static void broadcast_from(struct net *net, const struct group *group, int root, float *x,
			   size_t count)
{
	struct error err;

	fill(x, net_rank(net), count);
	cluster_must(coll_broadcast(net, group, root, x, count * sizeof(*x), &err), &err);
	for (size_t i = 0; i < count; i++) {
		float wanted = element(group->ranks[root], i);

		assert(memcmp(&x[i], &wanted, sizeof(wanted)) == 0);
	}
}

/* One group after another on one channel, and kinds and sizes as they come. */
static void changing_body(int rank, struct net *net, void *arg)
{
	enum { ROUNDS = SPACING > 1 ? 150 : 400, MOST = 60000 };
	float *x = xmalloc(MOST * sizeof(*x));
	unsigned seed = *(unsigned *)arg;
	struct error err;

	for (int round = 0; round < ROUNDS; round++) {
		unsigned kind = draw(&seed, 5), big = draw(&seed, 8), members = draw(&seed, 32);
		size_t count = 1 + draw(&seed, big == 0 ? MOST : 3000);
		int ranks[CLUSTER_MAX], turn = (int)draw(&seed, 5);
		struct group group = { .ranks = ranks, .index = -1, .id = 3 };

		for (int i = 0; i < 5; i++) {
			int member = (i + turn) % 5;

			if (member == rank && members >> member & 1)
				group.index = group.count;
			if (members >> member & 1)
				ranks[group.count++] = member;
		}
		if (group.index < 0)
			continue;
		if (kind == 0)
			broadcast_from(net, &group, turn % group.count, x, count);
		else if (kind == 1)
			scatter_sums(net, &group, x, count);
		else if (kind == 2)
			cluster_must(coll_barrier(net, &group, &err), &err);
		else
			sum_all(net, &group, COLL_AUTO, x, count);
	}
	free(x);
}

static void groups_may_follow_each_other_under_one_id(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= (SPACING > 1 ? 1 : 3); seed++) {
		cluster_run("inproc", 5, changing_body, &seed);
		cluster_run("tcp encrypt=no", 5, changing_body, &seed);
	}
}

static void small_body(int rank, struct net *net, void *arg)
{
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;

	(void)arg;
	for (int round = 0; round < 2000 / SPACING; round++) {
		float x[] = { (float)(rank + round), (float)round, 1 };
		int n = world.count;

		cluster_must(coll_allreduce(net, &world, COLL_AUTO, x, ARRAY_SIZE(x), &err), &err);
		assert(x[0] == (float)(n * round + n * (n - 1) / 2));
		assert(x[1] == (float)(n * round) && x[2] == (float)n);
	}
}

static void small_sums_in_quick_succession_do_not_mix(void **state)
{
	(void)state;
	for (int n = 2; n <= 5; n++)
		cluster_run("inproc", n, small_body, NULL);
}

struct absence {
	size_t count;
	pthread_barrier_t end;
};

/* Rank 1 does not come. */
static void absent_body(int rank, struct net *net, void *arg)
{
	struct absence *absence = arg;
	float *x = xcalloc(absence->count, sizeof(*x));
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	double begin = clock_now();
	struct error err;

	if (rank != 1) {
		assert(coll_allreduce(net, &world, COLL_AUTO, x, absence->count, &err) < 0);
		assert(strstr(err.text, "rank 1 (node1)"));
		assert(clock_now() - begin >= 0.99 && clock_now() - begin < 30);
	}
	pthread_barrier_wait(&absence->end);
	free(x);
}

static void who_does_not_come_is_named_within_the_timeout(void **state)
{
	static const size_t sizes[] = { 100, 100000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct cluster cluster = { "inproc", 2, 1 };
		struct absence absence = { .count = sizes[i] };

		pthread_barrier_init(&absence.end, NULL, 2);
		cluster_go(&cluster, absent_body, &absence);
		pthread_barrier_destroy(&absence.end);
	}
}

struct aborted {
	pthread_barrier_t end;
	struct net *net; /* rank 1's */
	pthread_barrier_t ready;
	double at, shortest;
};

static void *abort_soon(void *arg)
{
	struct aborted *aborted = arg;

	pthread_barrier_wait(&aborted->ready);
	clock_sleep(0.01); /* so that it sleeps by then; it must end sooner or later without, too */
	aborted->at = clock_now();
	net_abort(aborted->net, "stopped by test");
	return NULL;
}

/* Rank 0 does not come; rank 1 is aborted while it waits. */
static void aborted_body(int rank, struct net *net, void *arg)
{
	struct aborted *aborted = arg;
	float x[10] = { 0 };
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	pthread_t thread;
	struct error err;
	double took;

	if (rank == 1) {
		aborted->net = net;
		assert(pthread_create(&thread, NULL, abort_soon, aborted) == 0);
		pthread_barrier_wait(&aborted->ready);
		assert(coll_allreduce(net, &world, COLL_AUTO, x, ARRAY_SIZE(x), &err) < 0);
		took = clock_now();
		assert(strstr(err.text, "stopped by test"));
		pthread_join(thread, NULL);
		took -= aborted->at;
		aborted->shortest = took < aborted->shortest ? took : aborted->shortest;
	}
	pthread_barrier_wait(&aborted->end);
}

static void an_abort_ends_a_wait_at_once(void **state)
{
	struct aborted aborted = { .shortest = 20 };

	(void)state;
	pthread_barrier_init(&aborted.end, NULL, 2);
	pthread_barrier_init(&aborted.ready, NULL, 2);
	for (int i = 0; i < 50 && aborted.shortest > 0.05; i++)
		cluster_run("inproc", 2, aborted_body, &aborted);
	assert_true(aborted.shortest < 0.05);
	pthread_barrier_destroy(&aborted.end);
	pthread_barrier_destroy(&aborted.ready);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_auto_takes_adds_in_the_order_of_the_ring),
		cmocka_unit_test(long_vectors_take_all_streams),
		cmocka_unit_test(groups_may_follow_each_other_under_one_id),
		cmocka_unit_test(small_sums_in_quick_succession_do_not_mix),
		cmocka_unit_test(who_does_not_come_is_named_within_the_timeout),
		cmocka_unit_test(an_abort_ends_a_wait_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
