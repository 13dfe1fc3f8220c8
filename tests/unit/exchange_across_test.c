/* Sums that are compressed across the parts of a group alone. */
#include "tests/unit/unit.h"

#include "lib/groups.h"
#include "runtime/compress/compress.h"
#include "runtime/exchange_way.h"
#include "tests/unit/exchange.h"

enum { BLOCK = 3000, STEPS = 10, MOST_PARTS = 3 };

/* Parts of ranks that are in no order. */
struct layout {
	int ranks[CLUSTER_MAX], sizes[MOST_PARTS], groups, world;
};

static const struct layout layouts[] = {
	{ { 3, 1, 0, 2 }, { 2, 2 }, 2, 4 },
	{ { 0, 2, 4, 3, 1 }, { 3, 2 }, 2, 5 },
	{ { 4, 1, 0, 3, 2 }, { 1, 4 }, 2, 5 },
	{ { 0, 1, 2, 3, 4, 5 }, { 1, 2, 3 }, 3, 6 },
};

struct trial {
	const struct part *compressor;
	const struct layout *layout;
	struct exchange_params params;
	_Atomic uint64_t digest;
};

static const struct coder_span spans[] = { { "first", 0, 700 },
					   { "second", 700, 1 },
					   { "third", 701, BLOCK - 701 } };

static struct exchange *open_exchange(const struct trial *trial, struct net *net)
{
	struct exchange_env env = { .net = net,
				    .params = trial->params,
				    .algorithm = COLL_HIERARCHICAL,
				    .count = BLOCK,
				    .coder = { .compressor = trial->compressor,
					       .seed = 42,
					       .steps = STEPS,
					       .spans = spans,
					       .span_count = ARRAY_SIZE(spans) } };

	return exchange_new(&env);
}

static struct partition partition_of(const struct layout *layout)
{
	struct partition like = { .ranks = (int *)(uintptr_t)layout->ranks,
				  .sizes = (int *)(uintptr_t)layout->sizes,
				  .groups = layout->groups };
	struct partition partition;

	partition_copy(&partition, &like);
	return partition;
}

static void sums_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	struct partition partition = partition_of(trial->layout);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	double *totals = xcalloc(BLOCK, sizeof(*totals));
	float *x = xmalloc(BLOCK * sizeof(*x));
	uint64_t digest = DIGEST_START;
	struct error err;

	world.parts = coll_parts_new(&partition);
	for (size_t step = 0; step < STEPS; step++) {
		for (size_t i = 0; i < BLOCK; i++)
			x[i] = element(rank, step, i);
		cluster_must(exchange_sum(exchange, &world, step, 999, x + 999, BLOCK - 999, &err),
			     &err);
		cluster_must(exchange_sum(exchange, &world, step, 0, x, 999, &err), &err);
		digest = mix(digest, x, BLOCK);
		for (size_t i = 0; i < BLOCK; i++)
			totals[i] += x[i];
	}
	must_equal(&trial->digest, digest);
	if (exchange_residual(exchange))
		check_totals(net, &world, totals, exchange, BLOCK, STEPS);
	coll_parts_free(world.parts);
	partition_release(&partition);
	exchange_free(exchange);
	free(totals);
	free(x);
}

static void every_scheme_sums_alike_on_all_ranks_and_with_feedback_loses_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; compressors.entries[i]; i++) {
		const char *name = compressors.entries[i]->name;
		struct part part = part_default(&compressors, name);

		for (size_t k = 0; k < ARRAY_SIZE(layouts); k++)
			for (int way = EXCHANGE_GATHER; way <= EXCHANGE_SPARSE; way++) {
				struct trial trial = { .compressor = &part,
						       .layout = &layouts[k],
						       .params.collective = way };

				cluster_run(k == 1 ? "tcp" : "inproc", layouts[k].world, sums_body,
					    &trial);
				if (k == 1)
					cluster_run("inproc", layouts[k].world, sums_body, &trial);
			}
		part_release(&part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			every_scheme_sums_alike_on_all_ranks_and_with_feedback_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
