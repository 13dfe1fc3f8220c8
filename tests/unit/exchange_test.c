/* The exchange: every compression scheme over every transport. */
#include "tests/unit/unit.h"

#include "runtime/coll_cost.h"
#include "runtime/compress/compress.h"
#include "runtime/exchange_way.h"
#include "tests/unit/exchange.h"

enum { BLOCK = 3000, STEPS = SPACING > 1 ? 8 : 20 };

/* What the ranks of all runs share. */
struct trial {
	const struct part *compressor;
	const struct coll_cost *cost; /* of the group */
	struct exchange_params params;
	_Atomic uint64_t digest;     /* of the results; the first rank says what it must be */
	uint64_t debts[CLUSTER_MAX]; /* of residuals, by rank */
};

/* Of these, one makes slices go to owners, one everything to everybody, and one spares messages. */
static const struct coll_cost slow_bytes = { .alpha_s = 1e-9, .beta_s = 1e-6 };
static const struct coll_cost many_messages = { .alpha_s = 1, .beta_s = 1e-12, .message_s = 1 };
static const struct coll_cost slow_messages = { .alpha_s = 1, .beta_s = 1e-12 };

static const struct coder_span spans[] = { { "first", 0, 700, .rows = 25 },
					   { "second", 700, 1 },
					   { "third", 701, BLOCK - 701 } };

static struct exchange *open_exchange(const struct trial *trial, struct net *net)
{
	struct exchange_env env = { .net = net,
				    .params = trial->params,
				    .count = BLOCK,
				    .coder = { .compressor = trial->compressor,
					       .seed = 42,
					       .steps = STEPS,
					       .spans = spans,
					       .span_count = ARRAY_SIZE(spans) } };

	return exchange_new(&env);
}

static bool is_opaque(const struct part *part)
{
	return ((const struct compressor *)part->entry)->payload == PAYLOAD_OPAQUE;
}

static bool has_feedback(const struct trial *trial)
{
	enum feedback kind = exchange_feedback(&trial->params, trial->compressor);

	return kind == FEEDBACK_CLASSIC || kind == FEEDBACK_MOMENTUM_CORRECTED;
}

static void must_agree(struct trial *trial, uint64_t digest)
{
	must_equal(&trial->digest, digest);
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

static void sums_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	double *totals = xcalloc(BLOCK, sizeof(*totals));
	float *x = xmalloc(BLOCK * sizeof(*x));
	uint64_t digest = DIGEST_START;

	world.cost = trial->cost;
	assert(!exchange_residual(exchange) == !has_feedback(trial));
	for (size_t step = 0; step < STEPS; step++) {
		exchange_step(exchange, &world, step, x);
		digest = mix(digest, x, BLOCK);
		for (size_t i = 0; i < BLOCK; i++)
			totals[i] += x[i];
	}
	must_agree(trial, digest);
	if (exchange_residual(exchange) || !is_opaque(trial->compressor))
		check_totals(net, &world, totals, exchange, BLOCK, STEPS);
	exchange_free(exchange);
	free(totals);
	free(x);
}

static void every_scheme_sums_alike_on_all_ranks_and_with_feedback_loses_nothing(void **state)
{
	static const int worlds[] = { 1, 2, 3, 5 };

	(void)state;
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part part = part_default(&compressors, compressors.entries[i]->name);

		for (size_t k = 0; k < ARRAY_SIZE(worlds); k++) {
			if (worlds[k] != 3 && (i + k) % SPACING != 0)
				continue;
			for (int way = EXCHANGE_GATHER; way <= EXCHANGE_SPARSE; way++) {
				struct trial trial = { .compressor = &part,
						       .params = { .collective = way } };

				cluster_run("inproc", worlds[k], sums_body, &trial);
				if (worlds[k] == 3 && i % SPACING == 0)
					cluster_run_every(worlds[k], 0, sums_body, &trial);
			}
		}
		part_release(&part);
	}
}

/* What is sent of signs and sizes is taken out of what is owed, here and by the owners, who do what
 * a server with error feedback does. */
static void signs_with_feedback_lose_nothing(void **state)
{
	static const char *const names[] = { "sign", "onebit" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (int way = EXCHANGE_GATHER; way <= EXCHANGE_SPARSE; way++) {
			struct part part = part_default(&compressors, names[i]);
			struct trial trial = { .compressor = &part,
					       .params = { .feedback = 1 + FEEDBACK_CLASSIC,
							   .collective = way } };

			cluster_run("inproc", 3, sums_body, &trial);
			part_release(&part);
		}
	}
}

static void debts_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float *x = xmalloc(BLOCK * sizeof(*x));

	for (size_t step = 0; step < STEPS; step++)
		exchange_step(exchange, &world, step, x);
	trial->debts[rank] = mix(1, exchange_residual(exchange), BLOCK);
	exchange_free(exchange);
	free(x);
}

/* In both of them nobody encodes but who sends. */
static void whole_messages_and_pairs_leave_the_same_debts(void **state)
{
	(void)state;
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part part = part_default(&compressors, compressors.entries[i]->name);
		struct trial whole = { .compressor = &part,
				       .params = { .collective = EXCHANGE_GATHER } };
		struct trial pairs = { .compressor = &part,
				       .params = { .collective = EXCHANGE_SPARSE } };

		if (has_feedback(&whole)) {
			cluster_run("inproc", 3, debts_body, &whole);
			cluster_run("inproc", 3, debts_body, &pairs);
			assert_memory_equal(whole.debts, pairs.debts, sizeof(whole.debts));
		}
		part_release(&part);
	}
}

/* What is chosen for a vector of a scheme on n ranks. */
struct choice {
	struct trial trial;
	enum exchange_collective way;
};

static void choice_body(int rank, struct net *net, void *arg)
{
	struct choice *choice = arg;
	struct exchange *exchange = open_exchange(&choice->trial, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct vector vector = { .group = &world, .count = BLOCK };

	world.cost = choice->trial.cost;
	if (rank == 0)
		choice->way = exchange_choose(exchange, &vector);
	exchange_free(exchange);
}

static enum exchange_collective way_of(const char *name, int n, const struct coll_cost *cost)
{
	struct part part = part_default(&compressors, name);
	struct choice choice = { .trial = { .compressor = &part, .cost = cost } };

	cluster_run("inproc", n, choice_body, &choice);
	part_release(&part);
	return choice.way;
}

static void the_way_follows_from_what_messages_cost(void **state)
{
	(void)state;
	assert_int_equal(way_of("fp16", 8, &slow_messages), EXCHANGE_GATHER);
	assert_int_equal(way_of("fp16", 8, &slow_bytes), EXCHANGE_OWNERS);
	assert_int_equal(way_of("fp16", 2, &slow_bytes), EXCHANGE_GATHER);
	assert_int_equal(way_of("topk", 8, &slow_messages), EXCHANGE_GATHER);
	assert_int_equal(way_of("topk", 8, &slow_bytes), EXCHANGE_OWNERS);
	assert_int_equal(way_of("topk", 8, &many_messages), EXCHANGE_SPARSE);
	assert_int_equal(way_of("randk", 8, &many_messages), EXCHANGE_SPARSE);
	/* Nobody knows how many. */
	assert_int_equal(way_of("threshold", 8, &many_messages), EXCHANGE_GATHER);
}

static void mean_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
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

/* Ranks that only average come together at their mean, and their references stay the same. */
static void average_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float *x = xmalloc(BLOCK * sizeof(*x)), *reference = xcalloc(BLOCK, sizeof(*x));
	double first = 0, last = 0;
	struct error err;

	for (size_t i = 0; i < BLOCK; i++)
		x[i] = element(rank, 0, i);
	for (size_t step = 0; step < STEPS; step++)
		cluster_must(exchange_average(exchange, &world, step, x, reference, &err), &err);
	must_agree(trial, mix(DIGEST_START, reference, BLOCK));
	for (size_t i = 0; i < BLOCK; i++) {
		double mean = 0;

		for (int r = 0; r < world.count; r++)
			mean += element(r, 0, i) / (double)world.count;
		first += pow(element(rank, 0, i) - mean, 2);
		last += pow(x[i] - mean, 2);
	}
	assert(world.count == 1 || last < first);
	cluster_must(coll_allreduce(net, &world, COLL_TREE, x, BLOCK, &err), &err);
	for (size_t i = 0; i < BLOCK; i++) {
		double sum = 0;

		for (int r = 0; r < world.count; r++)
			sum += (double)element(r, 0, i);
		assert(fabs(x[i] - sum) < 1e-4);
	}
	exchange_free(exchange);
	free(x);
	free(reference);
}

static void averages_by_differences_come_together_at_the_mean(void **state)
{
	(void)state;
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part part = part_default(&compressors, compressors.entries[i]->name);

		for (int world = 1; world <= 3; world++) {
			struct trial trial = { .compressor = &part };

			if (i % SPACING == 0)
				cluster_run_every(world, 0, average_body, &trial);
			else if (world == 3 || SPACING == 1)
				cluster_run("inproc", world, average_body, &trial);
		}
		part_release(&part);
	}
}

static void overflow_body(int rank, struct net *net, void *arg)
{
	struct trial *trial = arg;
	struct exchange *exchange = open_exchange(trial, net);
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
	struct exchange *exchange = open_exchange(trial, net);
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
	/* Two vectors, of which one has two tensors and a part, the other a part: their lengths. */
	assert_int_equal(bytes_of("fp16"), 2 * BLOCK + 4 * sizeof(uint32_t));
}

static void infinite_body(int rank, struct net *net, void *arg)
{
	struct exchange *exchange = open_exchange(arg, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float x[9] = { 0 };
	struct error err;

	x[5] = rank == 1 ? NAN : 0; /* 700 of the block */
	assert(exchange_sum(exchange, &world, 12, 695, x, 9, &err) < 0);
	if (rank == 1)
		assert(strstr(err.text, "step 12: 'second' has a number that is not finite"));
	net_abort(net, err.text);
	exchange_free(exchange);
}

static void what_is_not_finite_is_refused_by_name(void **state)
{
	struct part part = part_default(&compressors, "fp16");
	struct trial trial = { .compressor = &part };

	(void)state;
	cluster_run_every(3, 0, infinite_body, &trial);
	part_release(&part);
}

/* A scheme that counts steps, and sees what the step before was like. */
static void adapt(const void *params, const struct compress_step *step, float *state)
{
	(void)params;
	state[0] += 1;
	state[1] = (float)step->norm_inf;
	assert(step->steps == STEPS);
	assert(step->count == (step->step == 3 ? 0 : 8));
}

/* What the scheme has learnt. */
static float *learnt(struct exchange *exchange, size_t *count)
{
	struct state_array arrays[STATE_ARRAYS];
	size_t n = exchange_state(exchange, arrays);

	for (size_t i = 0; i < n; i++)
		if (strcmp(arrays[i].name, "compress") == 0) {
			*count = arrays[i].count;
			return arrays[i].x;
		}
	return NULL;
}

static void adapting_body(int rank, struct net *net, void *arg)
{
	struct exchange *exchange = open_exchange(arg, net), *resumed = open_exchange(arg, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	struct error err;
	float *state, *again;
	size_t count;

	for (size_t step = 3; step < 6; step++)
		for (size_t half = 0; half < 2; half++) {
			float x[4] = { 0, half ? -(float)step : 1 };

			cluster_must(exchange_sum(exchange, &world, step, 4 * half, x, 4, &err),
				     &err);
		}
	assert(exchange_report(exchange).level == 3);
	assert(exchange_report(exchange).bytes == 3 * (8 * 2 + 2 * 4));
	assert(exchange_report(exchange).coordinates == 3 * 8);
	state = learnt(exchange, &count);
	assert(state[0] == 3 && state[1] == 4);
	again = learnt(resumed, &count);
	memcpy(again, state, count * sizeof(*state));
	for (size_t which = 0; which < 2; which++) {
		float x[8] = { 1 };

		cluster_must(exchange_sum(which ? resumed : exchange, &world, 6, 0, x, 8, &err),
			     &err);
	}
	assert(state[1] == 5 && again[1] == 5);
	assert(memcmp(learnt(exchange, &count), learnt(resumed, &count), count * sizeof(*state)) ==
	       0);
	exchange_free(exchange);
	exchange_free(resumed);
}

static void what_a_scheme_has_learnt_survives_a_resume(void **state)
{
	struct compressor learning =
		*(const struct compressor *)registry_find(&compressors, "fp16");
	struct part part = { .entry = &learning.entry };
	struct trial trial = { .compressor = &part };

	(void)state;
	learning.state_count = 2;
	learning.adapt = adapt;
	cluster_run_every(2, 0, adapting_body, &trial);
}

static void no_feedback_body(int rank, struct net *net, void *arg)
{
	struct exchange *exchange = open_exchange(arg, net);
	int ranks[CLUSTER_MAX];
	struct group world = group_world(ranks, net_world(net), rank);
	float x = 1 + 0x1p-12f; /* rounded to 1 */
	struct error err;

	cluster_must(exchange_sum(exchange, &world, 0, 0, &x, 1, &err), &err);
	assert(x == 3 && !exchange_residual(exchange));
	exchange_free(exchange);
}

static void without_feedback_nothing_is_kept(void **state)
{
	struct part part = part_default(&compressors, "fp16");
	struct trial trial = { .compressor = &part, .params = { .feedback = 1 + FEEDBACK_NONE } };

	(void)state;
	cluster_run_every(3, 0, no_feedback_body, &trial);
	part_release(&part);
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
	struct exchange *exchange = open_exchange(trial, net);
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
		cmocka_unit_test(
			every_scheme_sums_alike_on_all_ranks_and_with_feedback_loses_nothing),
		cmocka_unit_test(whole_messages_and_pairs_leave_the_same_debts),
		cmocka_unit_test(the_way_follows_from_what_messages_cost),
		cmocka_unit_test(signs_with_feedback_lose_nothing),
		cmocka_unit_test(a_mean_is_the_sum_divided_by_the_ranks),
		cmocka_unit_test(averages_by_differences_come_together_at_the_mean),
		cmocka_unit_test(a_value_that_overflows_spoils_no_later_step),
		cmocka_unit_test(fp16_sends_half_the_bytes),
		cmocka_unit_test(what_is_not_finite_is_refused_by_name),
		cmocka_unit_test(what_a_scheme_has_learnt_survives_a_resume),
		cmocka_unit_test(without_feedback_nothing_is_kept),
		cmocka_unit_test(a_malformed_payload_names_the_rank),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
