/* What collectives are said to send is what the transport counts. */
#include "tests/unit/unit.h"

#include <stdatomic.h>

#include "lib/groups.h"
#include "runtime/coll.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_volume.h"
#include "tests/unit/cluster.h"

/* Fewer than ranks, as long as collectives in shared memory are flat, and longer. */
static const size_t counts[] = { 1, 5, 1000, 4096, 4097, 100003 };

static void check_allreduce(struct net *net, const struct group *group, int algorithm, size_t count)
{
	uint64_t before = net_payload_sent(net);
	float *x = xcalloc(count, sizeof(*x));
	struct error err;

	cluster_must(coll_allreduce(net, group, algorithm, x, count, &err), &err);
	assert(net_payload_sent(net) - before ==
	       coll_allreduce_volume(net, group, algorithm, count));
	free(x);
}

static void check_halves(struct net *net, const struct group *group, size_t count)
{
	uint64_t before = net_payload_sent(net), between;
	float *x = xcalloc(count, sizeof(*x));
	struct error err;

	cluster_must(coll_reduce_scatter(net, group, x, count, &err), &err);
	between = net_payload_sent(net);
	cluster_must(coll_allgather(net, group, x, count, &err), &err);
	assert(between - before == coll_reduce_scatter_volume(group, count));
	assert(net_payload_sent(net) - between == coll_allgather_volume(net, group, count));
	free(x);
}

/* Parts of one member, two, and the rest. */
static struct partition uneven_parts(int world)
{
	struct partition parts = { .ranks = xcalloc((size_t)world, sizeof(int)),
				   .sizes = xcalloc((size_t)world, sizeof(int)) };
	int left = world;

	for (int i = 0; i < world; i++)
		parts.ranks[i] = world - 1 - i;
	while (left > 0) {
		int size =
			parts.groups + 1 < 3 && parts.groups + 1 < left ? parts.groups + 1 : left;

		parts.sizes[parts.groups++] = size;
		left -= size;
	}
	return parts;
}

static void check_group(struct net *net, const struct group *group)
{
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		for (int a = 0; coll_algorithm_names[a]; a++)
			check_allreduce(net, group, a, counts[c]);
		check_halves(net, group, counts[c]);
	}
}

/* Of all ranks, and of two that meet first. */
static void volume_body(int rank, struct net *net, void *arg)
{
	static const struct coll_cost slow = { .alpha_s = 1e-4, .beta_s = 1e-6 };
	struct partition parts = uneven_parts(net_world(net));
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct group pair = { .ranks = ranks, .count = 2, .index = rank, .id = 3 };

	(void)arg;
	check_group(net, &world);
	world.cost = &slow;
	world.parts = coll_parts_new(&parts);
	check_group(net, &world);
	if (rank < pair.count)
		check_group(net, &pair);
	coll_parts_free(world.parts);
	partition_release(&parts);
}

static void what_every_algorithm_sends_is_known_beforehand(void **state)
{
	(void)state;
	for (int world = 2; world <= 8; world += SPACING)
		cluster_run("inproc", world, volume_body, NULL);
	cluster_run_every(4, 0, volume_body, NULL);
}

/* Two ranks of each host: collectives in shared memory within one that goes by messages. */
static void also_where_some_share_memory(void **state)
{
	struct cluster mixed = { .spec = "tcp", .world = 5, .slots = 2 };

	(void)state;
	cluster_go(&mixed, volume_body, NULL);
}

static void one_rank_sends_nothing(void **state)
{
	int rank = 0;
	const struct group alone = { .ranks = &rank, .count = 1 };

	(void)state;
	for (int a = 0; coll_algorithm_names[a]; a++)
		assert_int_equal(coll_allreduce_volume(NULL, &alone, a, 1000), 0);
}

/* How much each rank posted in all collectives, and what came of it. */
struct sums {
	_Atomic uint64_t posted, sent, received;
};

enum { LENGTH = 8, PIECE = 1000 }; /* bytes: of a number of bytes */

static uint64_t gather(struct net *net, const struct group *group)
{
	unsigned char bytes[PIECE * CLUSTER_MAX] = { 0 }, *all;
	size_t starts[CLUSTER_MAX], lengths[CLUSTER_MAX], mine = PIECE * (size_t)group->index;
	uint64_t others = (uint64_t)group->count - 1, posted = others * LENGTH;
	struct error err;

	cluster_must(coll_allgather_bytes(net, group, bytes, mine, &all, starts, lengths, &err),
		     &err);
	free(all);
	for (int i = 0; i < group->count; i++) /* passed on, but to the one that it is of */
		posted += i == (group->index + 1) % group->count ? 0 : PIECE * (uint64_t)i;
	return posted;
}

static void posted_body(int rank, struct net *net, void *arg)
{
	struct sums *sums = arg;
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float x[PIECE] = { 0 };
	uint64_t posted = coll_allreduce_volume(net, &world, COLL_AUTO, PIECE);
	struct net_bytes bytes;
	struct error err;

	cluster_must(coll_allreduce(net, &world, COLL_AUTO, x, PIECE, &err), &err);
	posted += gather(net, &world);
	cluster_must(coll_barrier(net, &world, &err), &err);
	assert(net_payload_sent(net) == posted);
	cluster_must(coll_broadcast(net, &world, 1, x, sizeof(x), &err), &err);
	cluster_must(coll_barrier(net, &world, &err), &err);
	bytes = net_bytes(net);
	atomic_fetch_add(&sums->posted, posted);
	atomic_fetch_add(&sums->sent, bytes.payload_sent);
	atomic_fetch_add(&sums->received, bytes.payload_received);
	/* At the end everybody knows all sums. */
	cluster_must(coll_barrier(net, &world, &err), &err);
}

static void payload_is_what_collectives_post_and_what_arrives(void **state)
{
	struct cluster clusters[] = {
		{ .spec = "inproc", .world = 5 },
		{ .spec = "inproc", .world = 5, .emulated = true },
		{ .spec = "tcp", .world = 5 },
		{ .spec = "tcp encrypt=no streams=3", .world = 5 },
		{ .spec = "tcp", .world = 5, .slots = 5 },
		{ .spec = "tcp", .world = 5, .slots = 2 },
		{ .spec = "tcp shared_memory=no", .world = 5, .slots = 5 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(clusters); i++) {
		struct sums sums = { 0 };

		cluster_go(&clusters[i], posted_body, &sums);
		assert_int_equal(sums.sent, sums.received);
		assert_int_equal(sums.sent - sums.posted, 4 * PIECE * sizeof(float));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_every_algorithm_sends_is_known_beforehand),
		cmocka_unit_test(also_where_some_share_memory),
		cmocka_unit_test(one_rank_sends_nothing),
		cmocka_unit_test(payload_is_what_collectives_post_and_what_arrives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
