/* Allreduce of a group that falls into parts, even and uneven ones, on every transport. */
#include "tests/unit/unit.h"

#include <stdatomic.h>

#include "lib/groups.h"
#include "runtime/coll.h"
#include "tests/unit/cluster.h"

/* A vector of LONGEST is too long to be sent to everybody whole. */
enum { LARGE = 20011, LONGEST = 120000, PARTS = 8 };

/* Parts of these sizes, of the ranks in an order of their own. */
struct layout {
	int sizes[PARTS], groups;
};

static const struct layout layouts[] = {
	{ { 1 }, 1 },	       { { 1, 1 }, 2 },	      { { 2, 2 }, 2 },	  { { 3, 2 }, 2 },
	{ { 4, 1 }, 2 },       { { 5, 3 }, 2 },	      { { 2, 2, 2 }, 3 }, { { 1, 2, 3 }, 3 },
	{ { 4, 3, 2, 2 }, 4 }, { { 1, 1, 1, 1 }, 4 }, { { 7 }, 1 },	  { { 3, 3, 3, 2, 1 }, 5 },
};

struct arena {
	const struct layout *layout;
	_Atomic uint64_t digest; /* of what whoever came first got from numbers that round */
};

static int world_of(const struct layout *layout)
{
	int world = 0;

	for (int p = 0; p < layout->groups; p++)
		world += layout->sizes[p];
	return world;
}

/* Small whole numbers, so that every order of additions gives the exact sum. */
static float whole(int rank, size_t i)
{
	return (float)((i * 7 + (size_t)rank * 13) % 101) - 50;
}

static void check_sum(struct net *net, const struct group *group, float *x, size_t count)
{
	struct error err;

	for (size_t i = 0; i < count; i++)
		x[i] = whole(net_rank(net), i);
	cluster_must(coll_allreduce(net, group, COLL_HIERARCHICAL, x, count, &err), &err);
	for (size_t i = 0; i < count; i++) {
		float sum = 0;

		for (int rank = 0; rank < group->count; rank++)
			sum += whole(rank, i);
		assert(x[i] == sum);
	}
}

static void check_bits(struct net *net, const struct group *group, float *x, size_t count,
		       _Atomic uint64_t *wanted)
{
	uint64_t digest = 14695981039346656037u, none = 0;
	struct error err;

	for (size_t i = 0; i < count; i++)
		x[i] = 1.0f / (float)(1 + i * 7 % 1009 + (size_t)net_rank(net));
	cluster_must(coll_allreduce(net, group, COLL_HIERARCHICAL, x, count, &err), &err);
	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		digest = (digest ^ bits) * 1099511628211u;
	}
	if (!atomic_compare_exchange_strong(wanted, &none, digest))
		assert(none == digest);
}

static void body(int rank, struct net *net, void *arg)
{
	static const size_t counts[] = { 0, 1, 2, 5, 13, 1000, LARGE };
	struct arena *arena = arg;
	int world = net_world(net), ranks[CLUSTER_MAX], shuffled[CLUSTER_MAX];
	struct partition parts = { .ranks = shuffled, .groups = arena->layout->groups };
	struct group group = group_world(ranks, world, rank);
	int sizes[PARTS];
	float *x = xmalloc(LARGE * sizeof(*x));

	memcpy(sizes, arena->layout->sizes, sizeof(sizes));
	parts.sizes = sizes;
	for (int i = 0; i < world; i++)
		shuffled[i] = (i + 1) * (world % 5 ? 5 : 1) % world; /* 5 or 1 has an inverse */
	group.parts = coll_parts_new(&parts);
	group.id = 3;
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
			check_sum(net, &group, x, counts[i]);
	check_bits(net, &group, x, LARGE, &arena->digest);
	coll_parts_free(group.parts);
	free(x);
}

static void sums_are_exact_and_the_same_on_all_members_for_any_parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		struct arena arena = { .layout = &layouts[i] };

		cluster_run_every(world_of(&layouts[i]), 0, body, &arena);
	}
}

static void hosts_body(int rank, struct net *net, void *arg)
{
	static const int order[] = { 4, 0, 2, 3, 1, 5 };
	static const int by_host[] = { 4, 5, 0, 1, 2, 3 };
	struct group group = { .ranks = order, .count = 6 };
	struct partition parts;
	float *x = xmalloc(LARGE * sizeof(*x));

	(void)arg;
	group.index = group_index(&group, rank);
	assert(order[group.index] == rank);
	group_by_host(&parts, &group, net);
	assert(parts.groups == 3);
	for (int p = 0; p < 3; p++)
		assert(parts.sizes[p] == 2);
	assert(memcmp(parts.ranks, by_host, sizeof(by_host)) == 0);
	group.parts = coll_parts_new(&parts);
	check_sum(net, &group, x, LARGE);
	coll_parts_free(group.parts);
	partition_release(&parts);
	free(x);
}

static void ranks_of_a_host_are_a_part(void **state)
{
	struct cluster cluster = { .spec = "tcp", .world = 6, .slots = 2 };

	(void)state;
	cluster_go(&cluster, hosts_body, NULL);
}

struct traffic {
	const struct partition *parts;
	_Atomic uint64_t across; /* payload bytes that rank 0 sent */
};

static void traffic_body(int rank, struct net *net, void *arg)
{
	struct traffic *traffic = arg;
	int ranks[CLUSTER_MAX];
	struct group group = group_world(ranks, net_world(net), rank);
	float *x = xcalloc(LONGEST, sizeof(*x));
	struct error err;

	if (traffic->parts)
		group.parts = coll_parts_new(traffic->parts);
	cluster_must(coll_allreduce(net, &group, COLL_HIERARCHICAL, x, LONGEST, &err), &err);
	if (rank == 0)
		atomic_store(&traffic->across, net_bytes(net).payload_sent);
	coll_parts_free(group.parts);
	free(x);
}

/* Within a part of two: half there, half back; across three parts 2 (3 - 1) / 3 of a half. */
static void a_rank_sends_its_slices_and_no_more(void **state)
{
	int ranks[] = { 0, 1, 2, 3, 4, 5 }, sizes[] = { 2, 2, 2 };
	struct partition parts = { ranks, sizes, 3 };
	struct traffic traffic = { .parts = &parts };

	(void)state;
	cluster_run("tcp", 6, traffic_body, &traffic);
	assert_int_equal(traffic.across, 4 * LONGEST / 2 * (3 + 3 + 4) / 3);
	traffic.parts = NULL;
	cluster_run("tcp", 6, traffic_body, &traffic);
	assert_int_equal(traffic.across, 4 * LONGEST * 2 * 5 / 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_exact_and_the_same_on_all_members_for_any_parts),
		cmocka_unit_test(ranks_of_a_host_are_a_part),
		cmocka_unit_test(a_rank_sends_its_slices_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
