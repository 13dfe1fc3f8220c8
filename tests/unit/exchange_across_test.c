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
	_Atomic uint64_t digest, encoded;
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

				if ((i + k + (size_t)way) % SPACING)
					continue;
				cluster_run(k == 1 ? "tcp" : "inproc", layouts[k].world, sums_body,
					    &trial);
				if (k == 1)
					cluster_run("inproc", layouts[k].world, sums_body, &trial);
			}
		part_release(&part);
	}
}

/* What crosses from part to part: ranks of an even and of an odd number. Without shared memory, so
 * that all of it is messages. */
static _Atomic uint64_t crossing;
static const struct transport *inproc;

static void count_and_send(void *state, struct net_request *request)
{
	const int *rank = (int *)((char *)state + inproc->state_size);

	if ((request->peer - *rank) % 2)
		crossing += request->length;
	inproc->post_send(state, request);
}

static int open_counted(void *state, const void *params, const struct net_env *env,
			net_handler *deliver, void *arg, struct error *err)
{
	*(int *)((char *)state + inproc->state_size) = env->rank;
	return inproc->open(state, params, env, deliver, arg, err);
}

static void bytes_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	struct partition partition = partition_of(trial->layout);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float *x = xmalloc(BLOCK * sizeof(*x));
	struct error err;

	world.parts = coll_parts_new(&partition);
	for (size_t i = 0; i < BLOCK; i++)
		x[i] = element(rank, 0, i);
	cluster_must(exchange_sum(exchange, &world, 0, 0, x, BLOCK, &err), &err);
	trial->encoded += exchange_report(exchange).bytes;
	coll_parts_free(world.parts);
	partition_release(&partition);
	exchange_free(exchange);
	free(x);
}

/* Bytes that cross, in a sum of eight ranks in two parts. */
static uint64_t crossing_of(const char *name, uint64_t *encoded)
{
	static const struct layout two_fours = { { 0, 2, 4, 6, 1, 3, 5, 7 }, { 4, 4 }, 2, 8 };
	struct part part = part_default(&compressors, name);
	struct trial trial = { .compressor = &part, .layout = &two_fours };
	struct cluster cluster = { .spec = "inproc", .world = two_fours.world };
	struct transport counted;

	crossing = 0;
	cluster_prepare(&cluster);
	inproc = PART_AS(&cluster.part, struct transport);
	counted = *inproc;
	counted.state_size += sizeof(int);
	counted.open = open_counted;
	counted.post_send = count_and_send;
	counted.shared = NULL;
	cluster.part.entry = &counted.entry;
	cluster_start(&cluster, bytes_body, &trial);
	cluster_release(&cluster);
	part_release(&part);
	*encoded = trial.encoded;
	return crossing;
}

static void only_what_is_encoded_crosses_from_part_to_part(void **state)
{
	static const struct {
		const char *name;
		double times; /* fewer bytes than floats, at least; prefixes are among them */
	} schemes[] = { { "fp16", 1.9 }, { "qsgd", 6 }, { "topk", 20 } };
	uint64_t encoded, floats = crossing_of("none", &encoded);

	(void)state;
	/* Barriers are empty. */
	assert_int_equal(floats, 2 * BLOCK * sizeof(float));
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		uint64_t bytes = crossing_of(schemes[i].name, &encoded);

		assert_int_equal(bytes, encoded);
		assert_true((double)floats >= schemes[i].times * (double)bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			every_scheme_sums_alike_on_all_ranks_and_with_feedback_loses_nothing),
		cmocka_unit_test(only_what_is_encoded_crosses_from_part_to_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
