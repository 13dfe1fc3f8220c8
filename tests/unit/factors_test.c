/* Sums of matrices as products of factors. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdatomic.h>

#include "runtime/coll_cost.h"
#include "runtime/compress/compress.h"
#include "runtime/compress/rules.h"
#include "runtime/device/low_rank.h"
#include "runtime/exchange.h"
#include "tests/unit/cluster.h"
#include "tests/unit/part.h"

enum {
	ROWS = 24,
	COLUMNS = 40,
	BIAS = ROWS * COLUMNS,
	SECOND = BIAS + ROWS,
	SECOND_ROWS = 16,
	SECOND_COLUMNS = 24,
	SECOND_BIAS = SECOND + SECOND_ROWS * SECOND_COLUMNS,
	BLOCK = SECOND_BIAS + SECOND_ROWS
};

static const struct coder_span spans[] = { { "1.weight", 0, ROWS *COLUMNS, .rows = ROWS },
					   { "1.bias", BIAS, ROWS },
					   { "2.weight", SECOND, SECOND_ROWS *SECOND_COLUMNS,
					     .rows = SECOND_ROWS },
					   { "2.bias", SECOND_BIAS, SECOND_ROWS } };

/* What the ranks of a run share. */
struct trial {
	struct part part;
	struct compress_rules rules;
	struct exchange_params params;
	const struct coll_cost *cost;
	const float *wanted; /* [BLOCK] the sum; NULL: nothing */
	double rest;	     /* squares that are missed of it at least */
	_Atomic uint64_t digest;
};

static struct trial open_trial(const char *rank)
{
	const char *options[] = { "rank", rank, NULL };

	return (struct trial){ .part = part_with(registry_find(&compressors, "powersgd"),
						 options) };
}

/* The second matrix by a scheme of messages, its bias as it is. */
static char second_weight[] = "2.weight", second_bias[] = "2.bias";
static struct compress_rule mixed[] = { { .match = second_weight }, { .match = second_bias } };

static struct trial open_mixed(const char *rank)
{
	struct trial trial = open_trial(rank);

	mixed[0].scheme = part_default(&compressors, "topk");
	mixed[1].scheme = part_default(&compressors, "none");
	trial.rules = (struct compress_rules){ mixed, ARRAY_SIZE(mixed) };
	return trial;
}

static void close_trial(struct trial *trial)
{
	for (size_t i = 0; i < trial->rules.count; i++)
		part_release(&trial->rules.items[i].scheme);
	part_release(&trial->part);
}

static struct exchange *open_exchange(const struct trial *trial, struct net *net)
{
	struct exchange_env env = { .net = net,
				    .params = trial->params,
				    .count = BLOCK,
				    .coder = { .compressor = &trial->part,
					       .rules = &trial->rules,
					       .seed = 42,
					       .spans = spans,
					       .span_count = ARRAY_SIZE(spans) } };

	return exchange_new(&env);
}

/* What every body has. */
struct member {
	struct trial *trial;
	struct net *net;
	struct exchange *exchange;
	int ranks[CLUSTER_MAX];
	struct group world;
	float x[BLOCK];
	struct error err;
};

static struct member *join(struct trial *trial, struct net *net, int rank)
{
	struct member *m = xcalloc(1, sizeof(*m));

	m->trial = trial;
	m->net = net;
	m->exchange = open_exchange(trial, net);
	m->world = group_world(m->ranks, net_world(net), rank);
	m->world.cost = trial->cost;
	return m;
}

static void leave(struct member *m)
{
	exchange_free(m->exchange);
	free(m);
}

static void sum(struct member *m, size_t step)
{
	cluster_must(exchange_sum(m->exchange, &m->world, step, 0, m->x, BLOCK, &m->err), &m->err);
}

static void normal(float *x, size_t count, uint64_t which, uint64_t step)
{
	struct rng rng = rng_make(5, RNG_DATA, which, step);

	for (size_t i = 0; i < count; i++)
		x[i] = (float)rng_normal(&rng, i);
}

static double squares(const float *x, const float *y, size_t count)
{
	double total = 0;

	for (size_t i = 0; i < count; i++)
		total += pow((double)x[i] - (y ? (double)y[i] : 0), 2);
	return total;
}

/* A matrix of these singular values. */
static void compose(float *x, const float *values, size_t rank, size_t rows, size_t columns,
		    uint64_t which)
{
	float left[ROWS * ROWS], right[ROWS * COLUMNS];

	normal(left, rank * rows, which, 1);
	normal(right, rank * columns, which, 2);
	low_rank_orthonormalise(left, rank, rows);
	low_rank_orthonormalise(right, rank, columns);
	for (size_t k = 0; k < rank; k++)
		for (size_t i = 0; i < rows; i++)
			left[k * rows + i] *= values[k];
	low_rank_expand(x, left, right, rank, rows, columns);
}

/* Both matrices of so many singular values, and biases. */
static void compose_block(float *x, const float *values, size_t rank, uint64_t which)
{
	normal(x, BLOCK, which, 0);
	compose(x, values, rank, ROWS, COLUMNS, which);
	compose(x + SECOND, values, rank, SECOND_ROWS, SECOND_COLUMNS, which + 1);
}

/* `wanted`, in parts that say nothing of it by themselves. */
static void share_out(struct member *m, size_t step)
{
	int next = group_neighbour(&m->world, 1), own = m->ranks[m->world.index];
	float *noise = xcalloc(BLOCK, sizeof(*noise));

	memset(m->x, 0, sizeof(m->x));
	if (m->world.index == 0 && m->trial->wanted)
		memcpy(m->x, m->trial->wanted, sizeof(m->x));
	normal(noise, BLOCK, 100 + (uint64_t)own, step);
	for (size_t i = 0; i < BLOCK; i++)
		m->x[i] += noise[i];
	normal(noise, BLOCK, 100 + (uint64_t)next, step);
	for (size_t i = 0; i < BLOCK; i++)
		m->x[i] -= noise[i];
	free(noise);
}

static void exact_body(int rank, struct net *net, void *arg)
{
	struct member *m = join(arg, net, rank);

	for (size_t step = 0; step < 3; step++) {
		share_out(m, step);
		sum(m, step);
		assert(squares(m->x, m->trial->wanted, BLOCK) <
		       1e-9 * squares(m->trial->wanted, NULL, BLOCK));
	}
	leave(m);
}

static void sums_of_no_higher_rank_are_exact_but_for_rounding(void **state)
{
	static const float values[] = { 9, 5, 2, 1 };
	float wanted[BLOCK];

	(void)state;
	for (size_t rank = 0; rank <= 4; rank++) {
		struct trial trial = open_trial("4");

		trial.params.feedback = 1 + FEEDBACK_NONE;
		trial.wanted = wanted;
		compose_block(wanted, values, rank ? rank : 1, 7);
		if (rank == 0)
			memset(wanted, 0, SECOND * sizeof(*wanted));
		cluster_run("inproc", 3, exact_body, &trial);
		close_trial(&trial);
	}
}

/* Of both matrices, relative to what no matrix of this rank can have. */
static void approach_body(int rank, struct net *net, void *arg)
{
	struct member *m = join(arg, net, rank);
	double missed = 0, first = 0;

	for (size_t step = 0; step < 30; step++) {
		share_out(m, step);
		sum(m, step);
		missed = squares(m->x, m->trial->wanted, BLOCK);
		first = step ? first : missed;
		assert(missed > 0.999 * m->trial->rest);
	}
	assert(first > 1.05 * m->trial->rest && missed < 1.001 * m->trial->rest);
	leave(m);
}

static void warm_starts_come_to_the_best_of_their_rank(void **state)
{
	enum { RANK = 3, VALUES = 12 };
	float wanted[BLOCK], values[VALUES];
	struct trial trial = open_trial("3");

	(void)state;
	for (int k = 0; k < VALUES; k++) {
		values[k] = powf(0.8f, (float)k);
		trial.rest += k < RANK ? 0 : 2 * pow((double)values[k], 2);
	}
	trial.params.feedback = 1 + FEEDBACK_NONE;
	trial.wanted = wanted;
	compose_block(wanted, values, VALUES, 7);
	for (int world = 2; world <= 4; world++)
		cluster_run("inproc", world, approach_body, &trial);
	close_trial(&trial);
}

/* Zero at first, then of rank 1, then of rank 3: factors must not be stuck where they were. */
static void waking_body(int rank, struct net *net, void *arg)
{
	static const float values[] = { 3, 2, 1 };
	struct member *m = join(arg, net, rank);
	float wanted[BLOCK];

	for (size_t step = 0; step < 9; step++) {
		memset(wanted, 0, sizeof(wanted));
		if (step >= 3)
			compose_block(wanted, values, step < 6 ? 1 : 3, step);
		memset(m->x, 0, sizeof(m->x));
		if (m->world.index == 1)
			memcpy(m->x, wanted, sizeof(wanted));
		sum(m, step);
		assert(squares(m->x, wanted, BLOCK) <= 1e-9 * squares(wanted, NULL, BLOCK));
	}
	leave(m);
}

static void factors_wake_up_after_nothing_and_after_less(void **state)
{
	struct trial trial = open_trial("4");

	(void)state;
	cluster_run("inproc", 2, waking_body, &trial);
	close_trial(&trial);
}

static void must_agree(struct trial *trial, const float *x, size_t count)
{
	uint64_t none = 0, digest = 14695981039346656037u;

	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		digest = (digest ^ bits) * 1099511628211u;
	}
	if (!atomic_compare_exchange_strong(&trial->digest, &none, digest))
		assert(none == digest);
}

/* What came out, and what is owed, is what went in; whatever travels as it is owes nothing. */
static void mixed_body(int rank, struct net *net, void *arg)
{
	enum { STEPS = 12 };
	struct member *m = join(arg, net, rank);
	float *totals = xcalloc(BLOCK, sizeof(*totals)), *given = xcalloc(BLOCK, sizeof(*given));
	float *all = xcalloc(BLOCK, sizeof(*all)), *owed = exchange_residual(m->exchange);

	for (size_t step = 0; step < STEPS; step++) {
		normal(m->x, BLOCK, (uint64_t)rank, step);
		for (size_t i = 0; i < BLOCK; i++)
			given[i] += m->x[i];
		sum(m, step);
		for (size_t i = 0; i < BLOCK; i++)
			totals[i] += m->x[i];
	}
	must_agree(m->trial, totals, BLOCK);
	cluster_must(coll_allreduce(net, &m->world, COLL_RING, given, BLOCK, &m->err), &m->err);
	memcpy(all, owed, BLOCK * sizeof(*all));
	cluster_must(coll_allreduce(net, &m->world, COLL_RING, all, BLOCK, &m->err), &m->err);
	for (size_t i = 0; i < BLOCK; i++)
		assert(fabsf(totals[i] + all[i] - given[i]) < 1e-3f);
	for (size_t i = 0; i < ROWS; i++)
		assert(owed[BIAS + i] == 0);
	for (size_t i = 0; i < SECOND_ROWS; i++)
		assert(owed[SECOND_BIAS + i] == 0);
	assert(squares(owed, NULL, BIAS) > 1);
	assert(squares(owed + SECOND, NULL, SECOND_BIAS - SECOND) > 1);
	free(totals);
	free(given);
	free(all);
	leave(m);
}

static void schemes_of_messages_go_along_and_nothing_is_lost(void **state)
{
	static const struct coll_cost slow_bytes = { .alpha_s = 1e-9, .beta_s = 1e-6 };
	static const struct coll_cost slow_messages = { .alpha_s = 1, .beta_s = 1e-12 };

	(void)state;
	for (int world = 2; world <= 3; world++) {
		struct trial by_all = open_mixed("2"), by_owners = by_all;

		by_all.cost = &slow_messages;
		by_owners.cost = &slow_bytes;
		cluster_run_every(world, 0, mixed_body, &by_all);
		cluster_run_every(world, 0, mixed_body, &by_owners);
		close_trial(&by_all);
	}
}

static void feedback_body(int rank, struct net *net, void *arg)
{
	struct member *m = join(arg, net, rank);

	for (size_t step = 0; step < 5; step++) {
		normal(m->x, BLOCK, (uint64_t)rank, step);
		sum(m, step);
	}
	must_agree(m->trial, m->x, BLOCK);
	for (size_t i = 0; i < BLOCK; i++)
		assert(isfinite(m->x[i]));
	leave(m);
}

static void ranks_agree_with_any_feedback(void **state)
{
	uint64_t digests[FEEDBACK_MOMENTUM + 1];

	(void)state;
	for (int kind = FEEDBACK_NONE; kind <= FEEDBACK_MOMENTUM; kind++) {
		struct trial trial = open_trial("2");

		trial.params = (struct exchange_params){ .feedback = 1 + kind, .momentum = 0.9 };
		cluster_run("inproc", 3, feedback_body, &trial);
		digests[kind] = trial.digest;
		for (int other = 0; other < kind; other++)
			assert_true(digests[other] != digests[kind]);
		close_trial(&trial);
	}
}

static void bytes_body(int rank, struct net *net, void *arg)
{
	const size_t floats =
		2 * (ROWS + COLUMNS) + ROWS + 2 * (SECOND_ROWS + SECOND_COLUMNS) + SECOND_ROWS;
	struct member *m = join(arg, net, rank);

	sum(m, 0);
	assert(net_bytes(net).payload_sent == floats * sizeof(float));
	assert(exchange_report(m->exchange).bytes == floats * sizeof(float));
	assert(exchange_report(m->exchange).coordinates == BLOCK);
	leave(m);
}

static void factors_and_what_is_no_matrix_are_all_that_is_sent(void **state)
{
	struct trial trial = open_trial("2");

	(void)state;
	cluster_run("inproc", 2, bytes_body, &trial);
	close_trial(&trial);
}

/* Factors would be larger than the second one. */
static void small_body(int rank, struct net *net, void *arg)
{
	struct member *m = join(arg, net, rank);
	float expected[SECOND_ROWS * SECOND_COLUMNS];

	normal(m->x, BLOCK, 1, 0);
	memcpy(expected, m->x + SECOND, sizeof(expected));
	sum(m, 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert(m->x[SECOND + i] == 2 * expected[i]);
	leave(m);
}

/* A vector with a part of a matrix: no factors, either. */
static void part_body(int rank, struct net *net, void *arg)
{
	struct member *m = join(arg, net, rank);
	float x[ROWS * COLUMNS / 2], expected[ROWS * COLUMNS / 2];

	normal(x, ARRAY_SIZE(x), 1, 0);
	memcpy(expected, x, sizeof(x));
	cluster_must(exchange_sum(m->exchange, &m->world, 0, 100, x, ARRAY_SIZE(x), &m->err),
		     &m->err);
	for (size_t i = 0; i < ARRAY_SIZE(x); i++)
		assert(x[i] == 2 * expected[i]);
	leave(m);
}

static void small_matrices_and_parts_of_them_are_sums_as_they_are(void **state)
{
	struct trial trial = open_trial("10");

	(void)state;
	cluster_run("inproc", 2, small_body, &trial);
	cluster_run("inproc", 2, part_body, &trial);
	close_trial(&trial);
}

static void infinite_body(int rank, struct net *net, void *arg)
{
	struct member *m = join(arg, net, rank);

	m->x[SECOND + 5] = rank == 1 ? NAN : 0;
	assert(exchange_sum(m->exchange, &m->world, 12, 0, m->x, BLOCK, &m->err) < 0 || rank != 1);
	if (rank == 1)
		assert(strstr(m->err.text, "step 12: '2.weight' has a number that is not finite"));
	net_abort(net, m->err.text);
	leave(m);
}

static void what_is_not_finite_is_refused_by_name(void **state)
{
	struct trial trial = open_trial("2");

	(void)state;
	cluster_run_every(2, 0, infinite_body, &trial);
	close_trial(&trial);
}

static void resume_body(int rank, struct net *net, void *arg)
{
	struct member *m = join(arg, net, rank);
	struct exchange *resumed = open_exchange(arg, net);
	struct state_array from[STATE_ARRAYS], to[STATE_ARRAYS];
	size_t count = exchange_state(m->exchange, from);
	float x[BLOCK];

	for (size_t step = 0; step < 4; step++) {
		normal(m->x, BLOCK, (uint64_t)rank, step);
		sum(m, step);
	}
	assert(count == 2 && exchange_state(resumed, to) == count);
	assert(strcmp(from[1].name, "factors") == 0);
	assert(from[1].count == 2 * (COLUMNS + SECOND_COLUMNS));
	for (size_t i = 0; i < count; i++)
		memcpy(to[i].x, from[i].x, from[i].count * sizeof(float));
	for (size_t step = 4; step < 6; step++) {
		normal(m->x, BLOCK, (uint64_t)rank, step);
		memcpy(x, m->x, sizeof(x));
		sum(m, step);
		cluster_must(exchange_sum(resumed, &m->world, step, 0, x, BLOCK, &m->err), &m->err);
		assert(memcmp(x, m->x, sizeof(x)) == 0);
	}
	exchange_free(resumed);
	leave(m);
}

static void factors_survive_a_resume(void **state)
{
	struct trial trial = open_trial("2");

	(void)state;
	cluster_run("inproc", 3, resume_body, &trial);
	close_trial(&trial);
}

/* The references begin at the mean, so that differences add up to nothing. */
static void average_body(int rank, struct net *net, void *arg)
{
	enum { STEPS = 16 };
	struct member *m = join(arg, net, rank);
	float *reference = xcalloc(BLOCK, sizeof(float)), *after = xcalloc(BLOCK, sizeof(float));
	double first;

	share_out(m, 0);
	first = squares(m->x, NULL, BLOCK);
	for (size_t step = 0; step < STEPS; step++)
		cluster_must(
			exchange_average(m->exchange, &m->world, step, m->x, reference, &m->err),
			&m->err);
	must_agree(m->trial, reference, BLOCK);
	assert(squares(m->x, NULL, BIAS) < 0.2 * first);
	memcpy(after, m->x, sizeof(m->x));
	cluster_must(coll_allreduce(net, &m->world, COLL_RING, after, BLOCK, &m->err), &m->err);
	for (size_t i = 0; i < BLOCK; i++)
		assert(fabsf(after[i]) < 1e-4f && (i >= SECOND || fabsf(reference[i]) < 1e-4f));
	for (size_t i = 0; i < ROWS; i++)
		assert(fabsf(m->x[BIAS + i]) < 1e-5f);
	free(reference);
	free(after);
	leave(m);
}

static void averages_come_together_where_differences_add_up_to_nothing(void **state)
{
	struct trial plain = open_trial("2"), some = open_mixed("2");

	(void)state;
	cluster_run_every(3, 0, average_body, &plain);
	cluster_run("inproc", 4, average_body, &some);
	close_trial(&plain);
	close_trial(&some);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_of_no_higher_rank_are_exact_but_for_rounding),
		cmocka_unit_test(warm_starts_come_to_the_best_of_their_rank),
		cmocka_unit_test(factors_wake_up_after_nothing_and_after_less),
		cmocka_unit_test(schemes_of_messages_go_along_and_nothing_is_lost),
		cmocka_unit_test(ranks_agree_with_any_feedback),
		cmocka_unit_test(factors_and_what_is_no_matrix_are_all_that_is_sent),
		cmocka_unit_test(small_matrices_and_parts_of_them_are_sums_as_they_are),
		cmocka_unit_test(what_is_not_finite_is_refused_by_name),
		cmocka_unit_test(factors_survive_a_resume),
		cmocka_unit_test(averages_come_together_where_differences_add_up_to_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
