/* Sums of vectors so long that they travel in many segments. */
#include "tests/unit/unit.h"

#include "runtime/coll_cost.h"
#include "runtime/compress/compress.h"
#include "runtime/exchange_way.h"
#include "tests/unit/exchange.h"

/* Slices of three ranks are of three segments, of which the last is shorter. */
enum { BLOCK = 3 * 2 * 65536 + 1000, STEPS = 3 };

struct trial {
	const struct part *compressor;
	struct exchange_params params;
	struct coll_cost cost;	 /* of the group's messages */
	_Atomic uint64_t digest; /* the first rank says what it must be */
};

static struct exchange *open_exchange(struct trial *trial, struct net *net)
{
	struct exchange_env env = { .net = net,
				    .params = trial->params,
				    .count = BLOCK,
				    .coder = { .compressor = trial->compressor, .seed = 3 } };

	return exchange_new(&env);
}

static void sums_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	double *totals = xcalloc(BLOCK, sizeof(*totals));
	float *x = xmalloc(BLOCK * sizeof(*x));
	uint64_t digest = DIGEST_START;
	struct error err;

	world.cost = &trial->cost;
	for (size_t step = 0; step < STEPS; step++) {
		for (size_t i = 0; i < BLOCK; i++)
			x[i] = element(rank, step, i);
		cluster_must(exchange_sum(exchange, &world, step, 0, x, BLOCK, &err), &err);
		digest = mix(digest, x, BLOCK);
		for (size_t i = 0; i < BLOCK; i++)
			totals[i] += x[i];
	}
	must_equal(&trial->digest, digest);
	if (exchange_residual(exchange))
		check_totals(net, &world, totals, exchange, BLOCK, STEPS);
	exchange_free(exchange);
	free(x);
	free(totals);
}

/* Sums of owners come on a ring where bytes are all that counts, and straight within a host. */
static void long_vectors_are_summed_alike_on_all_ranks_and_lose_nothing(void **state)
{
	static const char *const names[] = { "qsgd", "topk" };
	static const struct coll_cost ring = { .alpha_s = 1e-9, .beta_s = 1e-6 };
	static const struct coll_cost straight = { .beta_s = 1e-6, .one_host = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct part part = part_default(&compressors, names[i]);
		struct trial trials[] = {
			{ &part, { .collective = EXCHANGE_GATHER }, ring, 0 },
			{ &part, { .collective = EXCHANGE_OWNERS }, ring, 0 },
			{ &part, { .collective = EXCHANGE_OWNERS }, straight, 0 },
		};

		for (size_t k = 0; k < ARRAY_SIZE(trials); k++) {
			cluster_run("inproc", 3, sums_body, &trials[k]);
			if (i == 0)
				cluster_run("tcp", 3, sums_body, &trials[k]);
		}
		part_release(&part);
	}
}

static void average_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float *x = xmalloc(BLOCK * sizeof(*x)), *reference = xcalloc(BLOCK, sizeof(*x));
	double error = 0, size = 0;
	struct error err;

	for (size_t i = 0; i < BLOCK; i++)
		x[i] = element(rank, 0, i);
	for (size_t step = 0; step < STEPS; step++)
		cluster_must(exchange_average(exchange, &world, step, x, reference, &err), &err);
	must_equal(&trial->digest, mix(DIGEST_START, reference, BLOCK));
	for (size_t i = 0; i < BLOCK; i++) {
		double mean = ((double)element(0, 0, i) + (double)element(1, 0, i)) / 2;

		error += pow(x[i] - mean, 2);
		size += pow(element(rank, 0, i) - mean, 2);
	}
	assert(error < 1e-3 * size);
	exchange_free(exchange);
	free(x);
	free(reference);
}

static void long_vectors_are_averaged_by_differences(void **state)
{
	struct part part = part_default(&compressors, "int8");
	struct trial trial = { .compressor = &part };

	(void)state;
	cluster_run("inproc", 2, average_body, &trial);
	part_release(&part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_vectors_are_summed_alike_on_all_ranks_and_lose_nothing),
		cmocka_unit_test(long_vectors_are_averaged_by_differences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
