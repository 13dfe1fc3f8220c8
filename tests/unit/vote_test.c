/* Votes through the exchange: what most ranks say, however it travels. */
#include "tests/unit/unit.h"

#include "runtime/compress/compress.h"
#include "runtime/compress/rules.h"
#include "tests/unit/exchange.h"
#include "tests/unit/part.h"

enum { BLOCK = 3000, STEPS = 5 };

/* What the ranks of all runs share. */
struct trial {
	const struct part *compressor;
	const struct compress_rules *rules; /* may be NULL */
	struct exchange_params params;
	_Atomic uint64_t digest; /* of the results; the first rank says what it must be */
};

static const struct coder_span spans[] = { { "first", 0, 700 },
					   { "second", 700, 1 },
					   { "third", 701, BLOCK - 701 } };

static struct exchange *open_exchange(const struct trial *trial, struct net *net)
{
	struct exchange_env env = { .net = net,
				    .params = trial->params,
				    .count = BLOCK,
				    .coder = { .compressor = trial->compressor,
					       .rules = trial->rules,
					       .seed = 42,
					       .spans = spans,
					       .span_count = ARRAY_SIZE(spans) } };

	return exchange_new(&env);
}

/* x becomes what comes of this rank's gradient of a step, in two buckets, the later one first. */
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

static bool is_vote(const struct part *part)
{
	const struct compressor *scheme = PART_AS(part, struct compressor);

	return scheme->vote && scheme->vote(part->params) != VOTE_NO;
}

/* Plus or minus one, and of plain signs what most ranks have, plus if it is a tie. */
static void check_votes(const struct trial *trial, const struct group *world, size_t step,
			const float *x)
{
	for (size_t i = 0; i < BLOCK; i++) {
		int count = 0;

		assert(x[i] == 1 || x[i] == -1);
		for (int r = 0; r < world->count; r++)
			count += element(r, step, i) < 0 ? -1 : 1;
		if (strcmp(trial->compressor->entry->name, "sign") == 0)
			assert(x[i] == (count < 0 ? -1 : 1));
	}
}

static void votes_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float *x = xmalloc(BLOCK * sizeof(*x));
	uint64_t digest = DIGEST_START;
	struct error err;

	for (size_t step = 0; step < STEPS; step++) {
		exchange_step(exchange, &world, step, x);
		check_votes(trial, &world, step, x);
		digest = mix(digest, x, BLOCK);
	}
	cluster_must(exchange_mean(exchange, &world, STEPS, 700, x + 700, BLOCK - 700, &err), &err);
	check_votes(trial, &world, STEPS - 1, x);
	must_equal(&trial->digest, digest);
	exchange_free(exchange);
	free(x);
}

static void check_vote(const struct part *part, int world)
{
	struct trial trial = { .compressor = part };

	for (int way = EXCHANGE_GATHER; way <= EXCHANGE_SPARSE; way++) {
		trial.params.collective = way;
		if (world == 3)
			cluster_run_every(world, 0, votes_body, &trial);
		else
			cluster_run("inproc", world, votes_body, &trial);
	}
}

/* The same trial for all: must_equal compares them. */
static void neither_the_way_of_votes_nor_who_counts_them_matters(void **state)
{
	static const char *const options[] = { "vote", "yes", NULL };
	struct part sign = part_with(registry_find(&compressors, "sign"), options);

	(void)state;
	for (int world = 1; world <= 4; world++) {
		check_vote(&sign, world);
		for (size_t i = 0; compressors.entries[i]; i++) {
			struct part part = part_default(&compressors, compressors.entries[i]->name);

			if (is_vote(&part))
				check_vote(&part, world);
			part_release(&part);
		}
	}
	part_release(&sign);
}

/* Of tensors that some vote on and others add up, each is what it would be alone. */
static void mixed_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float x[BLOCK];
	struct error err;

	for (size_t i = 0; i < BLOCK; i++)
		x[i] = element(rank, 0, i);
	cluster_must(exchange_sum(exchange, &world, 0, 0, x, BLOCK, &err), &err);
	for (size_t i = 0; i < BLOCK; i++) {
		float sum = element(0, 0, i) + element(1, 0, i) + element(2, 0, i);

		assert(i >= 700 ? fabsf(x[i] - sum) < 1e-6f : fabsf(x[i]) == 1);
	}
	exchange_free(exchange);
}

static void tensors_without_a_vote_are_added_up(void **state)
{
	struct compress_rule items[] = { { .match = xstrdup("[st]*"),
					   .scheme = part_default(&compressors, "none") } };
	struct compress_rules rules = { .items = items, .count = 1 };
	struct part part = part_default(&compressors, "signum");
	struct trial trial = { .compressor = &part,
			       .rules = &rules,
			       .params.feedback = 1 + FEEDBACK_NONE };

	(void)state;
	for (int way = EXCHANGE_GATHER; way <= EXCHANGE_SPARSE; way++) {
		trial.params.collective = way;
		cluster_run("inproc", 3, mixed_body, &trial);
	}
	part_release(&part);
	part_release(&items[0].scheme);
	free(items[0].match);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neither_the_way_of_votes_nor_who_counts_them_matters),
		cmocka_unit_test(tensors_without_a_vote_are_added_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
