/* What a bench runs and checks: right results pass, and each wrong element is counted. */
#include "tests/unit/unit.h"

#include <math.h>

#include "tests/unit/cluster.h"

#include "runtime/bench_kind.h"
#include "runtime/slice.h"

enum { WORLD = 3, COUNT = 300 };

/* The elements that this rank has after the collective. */
static float *result(const struct bench_kind *kind, const struct bench_vectors *v, int rank,
		     size_t *length)
{
	size_t start = 0;

	*length = v->count;
	if (strcmp(kind->name, "reduce_scatter") == 0)
		start = slice_start(v->count, WORLD, (size_t)rank, length);
	return (kind->apart ? v->other : v->x) + start;
}

/* How many elements a rank must get from others, once it gave its own. */
static uint64_t missing(const struct bench_kind *kind, int rank)
{
	if (strcmp(kind->name, "broadcast") == 0)
		return rank == 0 ? 0 : COUNT;
	if (strcmp(kind->name, "reduce_scatter") == 0)
		return COUNT / WORLD;
	return strcmp(kind->name, "allgather") == 0 ? COUNT - COUNT / WORLD : COUNT;
}

static void run_and_spoil(int rank, struct net *net, void *arg)
{
	const struct bench_kind *kind = arg;
	float x[COUNT], other[COUNT];
	struct bench_vectors v = { .x = x, .other = other, .count = COUNT };
	int ranks[WORLD];
	struct group world = group_world(ranks, WORLD, rank);
	struct error err;
	size_t length;
	float *got;

	kind->fill(&v, &world);
	assert(kind->wrong(&v, &world) == missing(kind, rank));
	cluster_must(kind->run(net, &world, COLL_AUTO, &v, &err), &err);
	assert(kind->wrong(&v, &world) == 0);
	got = result(kind, &v, rank, &length);
	got[0] += 1;
	assert(kind->wrong(&v, &world) == 1);
	got[length - 1] = 0;
	assert(kind->wrong(&v, &world) == 2);
	for (size_t i = 0; i < length; i++)
		got[i] = -got[i] - 1;
	assert(kind->wrong(&v, &world) == length);
	for (size_t i = 0; i < length; i++)
		got[i] = NAN;
	assert(kind->wrong(&v, &world) == length);
}

static void right_results_pass_and_every_wrong_element_is_counted(void **state)
{
	(void)state;
	for (size_t i = 0; bench_kind_names[i]; i++) {
		const struct bench_kind *kind = bench_kind_find(bench_kind_names[i]);

		assert_non_null(kind);
		cluster_run("inproc", WORLD, run_and_spoil, (void *)(uintptr_t)kind);
	}
}

/* A sum in which one rank's part is there twice, and another's not at all. */
static void a_part_that_was_added_twice_is_wrong(void **state)
{
	const struct bench_kind *kind = bench_kind_find("allreduce");
	float parts[WORLD][COUNT], sum[COUNT];
	int ranks[WORLD];

	(void)state;
	for (int rank = 0; rank < WORLD; rank++) {
		struct bench_vectors v = { .x = parts[rank], .count = COUNT };
		struct group world = group_world(ranks, WORLD, rank);

		kind->fill(&v, &world);
	}
	for (int twice = 0; twice < WORLD; twice++) {
		struct bench_vectors v = { .x = sum, .count = COUNT };
		struct group world = group_world(ranks, WORLD, 0);

		for (size_t i = 0; i < COUNT; i++)
			sum[i] = 2 * parts[twice][i] + parts[(twice + 1) % WORLD][i];
		assert_int_equal(kind->wrong(&v, &world), COUNT);
	}
}

static void elements_that_changed_places_are_wrong(void **state)
{
	const struct bench_kind *kind = bench_kind_find("broadcast");
	float x[COUNT];
	struct bench_vectors v = { .x = x, .count = COUNT };
	int ranks[WORLD];
	struct group world = group_world(ranks, WORLD, 0);

	(void)state;
	kind->fill(&v, &world);
	memmove(x + 1, x, (COUNT - 1) * sizeof(*x));
	assert_true(kind->wrong(&v, &world) > COUNT / 2);
}

static void sizes_and_bus_bandwidths_are_those_of_nccl_tests(void **state)
{
	const struct bench_kind *allreduce = bench_kind_find("allreduce"),
				*scatter = bench_kind_find("reduce_scatter"),
				*gather = bench_kind_find("allgather"),
				*broadcast = bench_kind_find("broadcast");

	(void)state;
	assert_int_equal(bench_kind_count(allreduce, 4099, 3), 1024);
	assert_int_equal(bench_kind_count(scatter, 4096, 3), 1020);
	assert_int_equal(bench_kind_count(gather, 4096, 8), 1024);
	assert_int_equal(bench_kind_count(gather, 127, 8), 0);
	assert_true(bench_kind_bus(allreduce, 4) == 1.5);
	assert_true(bench_kind_bus(scatter, 4) == 0.75 && bench_kind_bus(gather, 4) == 0.75);
	assert_true(bench_kind_bus(broadcast, 4) == 1);
	assert_true(bench_kind_bus(bench_kind_find("sendrecv"), 4) == 1);
	assert_null(bench_kind_find("alreduce"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_results_pass_and_every_wrong_element_is_counted),
		cmocka_unit_test(a_part_that_was_added_twice_is_wrong),
		cmocka_unit_test(elements_that_changed_places_are_wrong),
		cmocka_unit_test(sizes_and_bus_bandwidths_are_those_of_nccl_tests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
