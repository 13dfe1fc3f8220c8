/* Updates for one rank: what is told, what is owed, and what is no update. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdint.h>

#include "runtime/compress/compress.h"
#include "runtime/exchange.h"
#include "runtime/rng.h"
#include "tests/unit/cluster.h"

/* The second tensor takes more than one part; updates begin and end within tensors. */
enum { FIRST = 300, COUNT = 70000, OFFSET = 100, LENGTH = COUNT - 2 * OFFSET, STEPS = 4, PEER = 3 };

static const struct coder_span spans[] = {
	{ .name = "small", .count = FIRST },
	{ .name = "large", .offset = FIRST, .count = COUNT - FIRST },
};

struct bench {
	const struct part *scheme;
	struct exchange *exchange;
	float x[COUNT], told[COUNT], sum[COUNT], heard[COUNT];
	unsigned char *message;
	size_t length;
};

static float number(size_t step, size_t i)
{
	struct rng rng = rng_make(42, RNG_DATA, 0, step);

	return (float)rng_normal(&rng, i);
}

static void push(struct bench *bench, size_t step)
{
	struct exchange_update update = { PEER, step, OFFSET, bench->told, LENGTH };
	size_t most = exchange_push_bound(bench->exchange, OFFSET, LENGTH);
	struct error err;

	for (size_t i = 0; i < LENGTH; i++) {
		bench->told[i] = number(step, i);
		bench->sum[i] += bench->told[i];
	}
	free(bench->message);
	bench->message = xmalloc(most);
	bench->length = exchange_push(bench->exchange, &update, bench->message, &err);
	cluster_must(bench->length ? 0 : -1, &err);
	assert(bench->length <= most);
}

static const float *hear(struct bench *bench, size_t length, struct error *err)
{
	return exchange_pushed(bench->exchange, PEER, bench->message, length, OFFSET, bench->heard,
			       LENGTH, err);
}

/* Whoever told it knows what it says, and owes the rest. */
static void check_told(struct bench *bench)
{
	const float *owed = exchange_residual(bench->exchange), *heard;
	static float told[LENGTH];
	struct error err;

	memset(told, 0, sizeof(told));
	for (size_t step = 0; step < STEPS; step++) {
		push(bench, step);
		heard = hear(bench, bench->length, &err);
		cluster_must(heard ? 0 : -1, &err);
		for (size_t i = 0; i < LENGTH; i++) {
			assert(heard[i] == bench->told[i]);
			told[i] += heard[i];
		}
	}
	for (size_t i = 0; i < LENGTH && owed; i++)
		assert(fabsf(told[i] + owed[OFFSET + i] - bench->sum[i]) < 1e-4f);
}

static void check_refused(struct bench *bench, size_t length)
{
	struct error err;

	assert(!hear(bench, length, &err));
	assert(strstr(err.text, "rank 3"));
}

/* Cut short, too long, of another length within. */
static void check_corrupt(struct bench *bench)
{
	size_t cuts[] = { 0, 1, 5, bench->length / 2, bench->length - 1, bench->length + 1 };

	bench->message = xrealloc(bench->message, bench->length + 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
		check_refused(bench, cuts[i]);
	if (!exchange_is_lossy(bench->exchange))
		return;
	memset(bench->message, 0xff, 4);
	check_refused(bench, bench->length);
}

static void body(int rank, struct net *net, void *arg)
{
	struct bench *bench = arg;
	const struct compressor *scheme = PART_AS(bench->scheme, struct compressor);
	/* Votes with feedback are none of a recipe's. */
	bool votes = scheme->vote && scheme->vote(bench->scheme->params) != VOTE_NO;
	struct exchange_env env = { .net = net,
				    .count = COUNT,
				    .params = { .feedback = votes ? 0 : 1 + FEEDBACK_CLASSIC },
				    .coder = { .compressor = bench->scheme,
					       .seed = 42,
					       .spans = spans,
					       .span_count = ARRAY_SIZE(spans) } };

	(void)rank;
	bench->exchange = exchange_new(&env);
	check_told(bench);
	check_corrupt(bench);
	if (exchange_is_lossy(bench->exchange)) {
		struct coder_report report = exchange_report(bench->exchange);

		assert(report.coordinates == (uint64_t)STEPS * LENGTH);
		assert(exchange_saved(bench->exchange) ==
		       (int64_t)(STEPS * LENGTH * sizeof(float)) - (int64_t)report.bytes);
	}
	exchange_free(bench->exchange);
}

static void what_a_message_says_is_told_and_the_rest_is_owed(void **state)
{
	(void)state;
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part scheme = part_default(&compressors, compressors.entries[i]->name);
		struct bench *bench = xcalloc(1, sizeof(*bench));

		bench->scheme = &scheme;
		if (PART_AS(&scheme, struct compressor)->payload != PAYLOAD_FACTORS)
			cluster_run("inproc", 1, body, bench);
		part_release(&scheme);
		free(bench->message);
		free(bench);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_message_says_is_told_and_the_rest_is_owed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
