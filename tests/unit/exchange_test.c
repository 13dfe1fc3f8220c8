/* The exchange: every compression scheme over every transport. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdatomic.h>

#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "tests/unit/cluster.h"

enum { BLOCK = 3000, STEPS = 20 };

/* What the ranks of all runs share. */
struct trial {
	const struct part *compressor;
	_Atomic uint64_t digest; /* of the results; the first rank says what it must be */
};

static float element(int rank, size_t step, size_t i)
{
	uint32_t mixed = ((uint32_t)i * 512 + (uint32_t)step * 16 + (uint32_t)rank + 1) *
			 UINT32_C(2654435761);

	return (float)(mixed >> 8) * 0x1p-24f - 0.5f;
}

static struct exchange *open_exchange(const struct part *compressor, struct net *net)
{
	struct exchange_env env = {
		.net = net, .compressor = compressor, .seed = 42, .count = BLOCK
	};

	return exchange_new(&env);
}

static bool is_opaque(const struct part *part)
{
	return ((const struct compressor *)part->entry)->payload == PAYLOAD_OPAQUE;
}

static uint64_t mix(uint64_t digest, const float *x, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		digest = (digest ^ bits) * 1099511628211u;
	}
	return digest;
}

static void must_agree(struct trial *trial, uint64_t digest)
{
	uint64_t none = 0;

	if (!atomic_compare_exchange_strong(&trial->digest, &none, digest))
		assert(none == digest);
}

/* x becomes this rank's gradient of a step, sent in two buckets, the later one first. */
static void exchange_step(struct exchange *exchange, const struct group *world, size_t step,
			  float *x)
{
	const size_t half = BLOCK / 3;
	struct error err;

	for (size_t i = 0; i < BLOCK; i++)
		x[i] = element(world->index, step, i);
	cluster_must(exchange_sum(exchange, world, step, half, x + half, BLOCK - half, &err), &err);
	cluster_must(exchange_sum(exchange, world, step, 0, x, half, &err), &err);
}

/* Over all steps, what came out and what is still owed is what went in. */
static void check_totals(struct net *net, const struct group *world, const double *totals,
			 struct exchange *exchange)
{
	float *owed = xcalloc(BLOCK, sizeof(*owed)), *residual = exchange_residual(exchange);
	struct error err;

	if (residual)
		memcpy(owed, residual, BLOCK * sizeof(*owed));
	cluster_must(coll_allreduce(net, world, COLL_TREE, owed, BLOCK, &err), &err);
	for (size_t i = 0; i < BLOCK; i++) {
		double given = 0;

		for (int r = 0; r < world->count; r++)
			for (size_t step = 0; step < STEPS; step++)
				given += element(r, step, i);
		assert(fabs(totals[i] + owed[i] - given) < 1e-3);
	}
	free(owed);
}

static void sums_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial->compressor, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	double *totals = xcalloc(BLOCK, sizeof(*totals));
	float *x = xmalloc(BLOCK * sizeof(*x));
	uint64_t digest = 14695981039346656037u;

	assert(!exchange_residual(exchange) == !is_opaque(trial->compressor));
	for (size_t step = 0; step < STEPS; step++) {
		exchange_step(exchange, &world, step, x);
		digest = mix(digest, x, BLOCK);
		for (size_t i = 0; i < BLOCK; i++)
			totals[i] += x[i];
	}
	must_agree(trial, digest);
	check_totals(net, &world, totals, exchange);
	exchange_free(exchange);
	free(totals);
	free(x);
}

static void every_scheme_sums_alike_on_all_ranks_and_loses_nothing(void **state)
{
	static const int worlds[] = { 1, 2, 3, 5 };

	(void)state;
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part part = part_default(&compressors, compressors.entries[i]->name);

		for (size_t k = 0; k < ARRAY_SIZE(worlds); k++) {
			struct trial trial = { .compressor = &part };

			cluster_run_every(worlds[k], 0, sums_body, &trial);
			cluster_run("inproc", worlds[k], sums_body, &trial);
		}
		part_release(&part);
	}
}

static void mean_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial->compressor, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float x[4] = { (float)rank, 1, (float)(rank * rank), -8 };
	struct error err;

	cluster_must(exchange_mean(exchange, &world, 0, 7, x, 4, &err), &err);
	assert(x[0] == 1.5f && x[1] == 1 && x[2] == 3.5f && x[3] == -8);
	exchange_free(exchange);
}

static void a_mean_is_the_sum_divided_by_the_ranks(void **state)
{
	static const char *const names[] = { "none", "fp16" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct part part = part_default(&compressors, names[i]);
		struct trial trial = { .compressor = &part };

		cluster_run_every(4, 0, mean_body, &trial);
		part_release(&part);
	}
}

static void overflow_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial->compressor, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;
	float x = 1e6f;

	cluster_must(exchange_sum(exchange, &world, 0, 0, &x, 1, &err), &err);
	assert(isinf(x));
	x = 2;
	cluster_must(exchange_sum(exchange, &world, 1, 0, &x, 1, &err), &err);
	assert(x == 4);
	exchange_free(exchange);
}

static void a_value_that_overflows_spoils_no_later_step(void **state)
{
	struct part part = part_default(&compressors, "fp16");
	struct trial trial = { .compressor = &part };

	(void)state;
	cluster_run_every(2, 0, overflow_body, &trial);
	part_release(&part);
}

static void bytes_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial->compressor, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float *x = xcalloc(BLOCK, sizeof(*x));

	exchange_step(exchange, &world, 0, x);
	atomic_store(&trial->digest, net_bytes(net).payload_sent);
	exchange_free(exchange);
	free(x);
}

static uint64_t bytes_of(const char *name)
{
	struct part part = part_default(&compressors, name);
	struct trial trial = { .compressor = &part };

	cluster_run("inproc", 2, bytes_body, &trial);
	part_release(&part);
	return atomic_load(&trial.digest);
}

static void fp16_sends_half_the_bytes(void **state)
{
	(void)state;
	assert_int_equal(bytes_of("none"), 4 * BLOCK);
	assert_int_equal(bytes_of("fp16"), 2 * BLOCK + 2 * sizeof(uint64_t));
}

/* A scheme whose rank 1 sends one byte too few, as a broken peer would. */
static size_t broken_encode(const void *params, const struct compress_input *input,
			    unsigned char *out)
{
	const struct compressor *fp16 =
		(const struct compressor *)registry_find(&compressors, "fp16");

	return fp16->encode(params, input, out) - (input->x[0] == 1);
}

static int broken_decode(const void *params, const unsigned char *bytes, size_t length, float scale,
			 float *y, size_t count, struct error *err)
{
	const struct compressor *fp16 =
		(const struct compressor *)registry_find(&compressors, "fp16");

	/* What is a rank's own is always fine. */
	return fp16->decode_add(params, bytes, scale < 0 ? 2 * count : length, scale, y, count,
				err);
}

static void broken_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial->compressor, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float x[8] = { (float)rank };
	struct error err;

	assert(exchange_sum(exchange, &world, 0, 0, x, 8, &err) < 0);
	assert(strstr(err.text, "rank 1: ") && strstr(err.text, "15 bytes"));
	exchange_free(exchange);
}

static void a_malformed_payload_names_the_rank(void **state)
{
	struct compressor broken = *(const struct compressor *)registry_find(&compressors, "fp16");
	struct part part = { .entry = &broken.entry };
	struct trial trial = { .compressor = &part };

	(void)state;
	broken.encode = broken_encode;
	broken.decode_add = broken_decode;
	cluster_run_every(3, 0, broken_body, &trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_scheme_sums_alike_on_all_ranks_and_loses_nothing),
		cmocka_unit_test(a_mean_is_the_sum_divided_by_the_ranks),
		cmocka_unit_test(a_value_that_overflows_spoils_no_later_step),
		cmocka_unit_test(fp16_sends_half_the_bytes),
		cmocka_unit_test(a_malformed_payload_names_the_rank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
