/* Partitions and schedules: averaging in groups keeps the mean, and reaches it when it says so. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/draw.h"
#include "lib/error.h"
#include "lib/groups.h"
#include "lib/json.h"

enum { MOST = 16 };

static void assert_near(double value, double expected, double most)
{
	if (!(fabs(value - expected) <= most))
		fail_msg("%.17g is not %.17g", value, expected);
}

struct square {
	int n;
	double at[MOST][MOST];
};

/* W of a partition: ones / size within each group. */
static struct square matrix(const struct partition *partition, int n)
{
	struct square w = { .n = n };

	for (int rank = 0; rank < n; rank++) {
		const int *group;
		int count, index = partition_group(partition, rank, &group, &count);

		assert_int_equal(group[index], rank);
		for (int i = 0; i < count; i++)
			w.at[rank][group[i]] = 1.0 / count;
	}
	return w;
}

static struct square times(const struct square *a, const struct square *b)
{
	struct square c = { .n = a->n };

	for (int i = 0; i < a->n; i++)
		for (int j = 0; j < a->n; j++)
			for (int k = 0; k < a->n; k++)
				c.at[i][j] += a->at[i][k] * b->at[k][j];
	return c;
}

static double distance(const struct square *a, const struct square *b)
{
	double most = 0;

	for (int i = 0; i < a->n; i++)
		for (int j = 0; j < a->n; j++)
			most = fmax(most, fabs(a->at[i][j] - b->at[i][j]));
	return most;
}

static struct square exact_mean(int n)
{
	struct square j = { .n = n };

	for (int i = 0; i < n; i++)
		for (int k = 0; k < n; k++)
			j.at[i][k] = 1.0 / n;
	return j;
}

/* The product of `steps` phases from `start`, the last one leftmost. */
static struct square product(const struct schedule *schedule, int start, int steps)
{
	struct square all = { .n = schedule->world };

	for (int i = 0; i < all.n; i++)
		all.at[i][i] = 1;
	for (int step = start; step < start + steps; step++) {
		struct square w = matrix(&schedule->phase[step % schedule->phases], all.n);

		all = times(&w, &all);
	}
	return all;
}

static void assert_averages(const struct partition *partition, int n)
{
	struct square w = matrix(partition, n), again = times(&w, &w);
	int covered = 0;

	for (int g = 0; g < partition->groups; g++)
		covered += partition->sizes[g];
	assert_int_equal(covered, n);
	assert_true(distance(&w, &again) < 1e-12);
	for (int i = 0; i < n; i++) {
		double row = 0, column = 0;

		for (int j = 0; j < n; j++) {
			assert_near(w.at[i][j], w.at[j][i], 0);
			row += w.at[i][j];
			column += w.at[j][i];
		}
		assert_near(row, 1, 1e-12);
		assert_near(column, 1, 1e-12);
	}
}

/* The honest count: by dense products of all starts. 0: not within `most`. */
static int exact_by_products(const struct schedule *schedule, int most)
{
	struct square mean = exact_mean(schedule->world);

	for (int steps = 1; steps <= most; steps++) {
		bool all = true;

		for (int start = 0; start < schedule->phases && all; start++) {
			struct square p = product(schedule, start, steps);

			all = distance(&p, &mean) < 1e-12;
		}
		if (all)
			return steps;
	}
	return 0;
}

static void assert_schedule(const struct schedule *schedule)
{
	struct error err;

	if (schedule_check(schedule, &err) < 0)
		fail_msg("%s", err.text);
	for (int p = 0; p < schedule->phases; p++)
		assert_averages(&schedule->phase[p], schedule->world);
	assert_int_equal(schedule_exact_after(schedule),
			 exact_by_products(schedule, 2 * schedule->phases));
}

/* Calls check for every ordered factorisation of `left` into factors above 1. */
static void factorisations(int world, int left, int *radix, int axes,
			   void (*check)(int world, const int *radix, int axes))
{
	if (left == 1) {
		check(world, radix, axes);
		return;
	}
	for (int factor = 2; factor <= left; factor++)
		if (left % factor == 0) {
			radix[axes] = factor;
			factorisations(world, left / factor, radix, axes + 1, check);
		}
}

static void radix_is_exact_after_its_axes(int world, const int *radix, int axes)
{
	struct schedule schedule = schedule_radix(world, NULL, radix, axes);

	assert_int_equal(schedule.phases, axes);
	assert_schedule(&schedule);
	assert_int_equal(schedule_exact_after(&schedule), axes);
	assert_near(schedule_contraction(&schedule), 0, 0);
	schedule_release(&schedule);
}

static void every_mixed_radix_reaches_the_mean_after_one_step_per_axis(void **state)
{
	int radix[MOST];

	(void)state;
	for (int world = 2; world <= MOST; world++)
		factorisations(world, world, radix, 0, radix_is_exact_after_its_axes);
}

/* Exact consensus needs every prime of the world in some group's size. */
static void rotating_groups_of_a_prime_keep_the_mean_and_are_never_exact(void **state)
{
	static const int primes[] = { 3, 5, 7, 11, 13 };

	(void)state;
	for (size_t i = 0; i < sizeof(primes) / sizeof(*primes); i++)
		for (int size = 2; size < primes[i]; size++) {
			struct schedule schedule = schedule_rotating(primes[i], NULL, size, 4);
			double contraction = schedule_contraction(&schedule);

			assert_schedule(&schedule);
			assert_int_equal(schedule_exact_after(&schedule), 0);
			assert_true(contraction > 0 && contraction < 0.95);
			for (int p = 0; p < 4; p++)
				for (int g = 0; g < schedule.phase[p].groups; g++)
					assert_in_range(schedule.phase[p].sizes[g],
							schedule.phase[p].sizes[0] - 1, size);
			schedule_release(&schedule);
		}
}

static void assert_groups(const struct schedule *schedule, const char *expected)
{
	struct json *json = schedule_json(schedule);
	struct buf text = { 0 };

	json_print(json, 0, &text);
	assert_string_equal(buf_text(&text), expected);
	buf_release(&text);
	json_free(json);
}

static void an_order_lays_the_ranks_out_as_the_authors_table_does(void **state)
{
	static const int radix[] = { 2, 2 }, order[] = { 0, 1, 3, 2 };
	struct schedule digits = schedule_radix(4, NULL, radix, 2);
	struct schedule table = schedule_radix(4, order, radix, 2);

	(void)state;
	assert_groups(&digits, "[[[0,1],[2,3]],[[0,2],[1,3]]]");
	assert_groups(&table, "[[[0,1],[3,2]],[[0,3],[1,2]]]");
	assert_schedule(&table);
	assert_int_equal(schedule_exact_after(&table), 2);
	schedule_release(&digits);
	schedule_release(&table);
}

static struct schedule parsed(const char *text)
{
	struct schedule schedule;
	struct error err;
	struct json *json = json_parse(text, strlen(text), &err);

	assert_non_null(json);
	if (schedule_from_json(&schedule, json, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	json_free(json);
	return schedule;
}

/* By the angle between what two phases keep: (1, 1, -2) and (1, -2, 1). */
static void contraction_of_three_ranks_in_pairs_is_a_half(void **state)
{
	struct schedule schedule = parsed("[[[0,1],[2]],[[0,2],[1]]]");

	(void)state;
	assert_schedule(&schedule);
	assert_near(schedule_contraction(&schedule), 0.5, 1e-9);
	schedule_release(&schedule);
}

static void groups_that_never_mix_contract_nothing(void **state)
{
	struct schedule schedule = parsed("[[[0,1],[2,3]]]");

	(void)state;
	assert_int_equal(schedule_exact_after(&schedule), 0);
	assert_near(schedule_contraction(&schedule), 1, 1e-12);
	schedule_release(&schedule);
}

static void repeated_phases_are_exact_after_the_longest_wait(void **state)
{
	struct schedule schedule = parsed("[[[0,1],[2,3]],[[0,1],[2,3]],[[0,2],[1,3]]]");

	(void)state;
	assert_schedule(&schedule);
	assert_int_equal(schedule_exact_after(&schedule), 3);
	schedule_release(&schedule);
}

/* ||P x|| of a random x from the mean, as a part of ||x||. */
static double shrinks(const struct schedule *schedule, uint64_t stream)
{
	const struct draw draw = { .seed = 7, .stream = stream };
	struct square p = product(schedule, 0, schedule->phases);
	double x[MOST], mean = 0, before = 0, after = 0;

	for (int i = 0; i < p.n; i++) {
		x[i] = (double)draw_below(&draw, (uint64_t)i, 1 << 20);
		mean += x[i] / p.n;
	}
	for (int i = 0; i < p.n; i++) {
		double y = 0;

		for (int j = 0; j < p.n; j++)
			y += p.at[i][j] * (x[j] - mean);
		before += (x[i] - mean) * (x[i] - mean);
		after += y * y;
	}
	return sqrt(after / before);
}

static void nothing_shrinks_less_than_the_contraction_says(void **state)
{
	(void)state;
	for (int world = 5; world <= MOST; world++) {
		struct schedule schedule = schedule_rotating(world, NULL, 3, 3);
		double bound = schedule_contraction(&schedule), most = 0;

		for (uint64_t trial = 0; trial < 200; trial++)
			most = fmax(most, shrinks(&schedule, trial));
		assert_true(most <= bound * (1 + 1e-6) + 1e-12);
		assert_true(most >= bound * 0.5);
		schedule_release(&schedule);
	}
}

/* Mean of ||x after||^2 / ||x before||^2 over many random shuffles. */
static double mean_contraction(int world, int size)
{
	enum { TRIALS = 2000 };
	double sum = 0;

	for (uint64_t trial = 0; trial < TRIALS; trial++) {
		struct partition phase = partition_random(world, size, 1, trial);
		struct schedule once = { .world = world, .phases = 1, .phase = &phase };
		double ratio = shrinks(&once, trial);

		sum += ratio * ratio / TRIALS;
		partition_release(&phase);
	}
	return sum;
}

static void random_groups_contract_as_in_theory(void **state)
{
	static const int cases[][2] = { { 4, 2 }, { 16, 4 }, { 16, 2 }, { 9, 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		double n = cases[i][0], s = cases[i][1];
		double theory = (n - s) / (s * (n - 1));

		assert_near(mean_contraction(cases[i][0], cases[i][1]), theory, 0.03 * theory);
	}
}

static void random_groups_are_of_their_seed_and_step_alone(void **state)
{
	struct partition a = partition_random(11, 4, 5, 6), b = partition_random(11, 4, 5, 6);
	struct partition other = partition_random(11, 4, 5, 7), copy;

	(void)state;
	assert_averages(&a, 11);
	assert_int_equal(a.groups, 3);
	assert_int_equal(a.sizes[0], 4);
	assert_int_equal(a.sizes[2], 3);
	assert_memory_equal(a.ranks, b.ranks, 11 * sizeof(int));
	assert_memory_not_equal(a.ranks, other.ranks, 11 * sizeof(int));
	partition_copy(&copy, &a);
	assert_memory_equal(a.ranks, copy.ranks, 11 * sizeof(int));
	assert_memory_equal(a.sizes, copy.sizes, 3 * sizeof(int));
	partition_release(&a);
	partition_release(&b);
	partition_release(&other);
	partition_release(&copy);
}

static void a_thousand_ranks_are_counted(void **state)
{
	static const int square[] = { 32, 32 }, cube[] = { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2 };
	struct schedule grid = schedule_radix(1024, NULL, square, 2);
	struct schedule hypercube = schedule_radix(1024, NULL, cube, 10);
	struct schedule prime = schedule_rotating(1021, NULL, 32, 4);
	double contraction = schedule_contraction(&prime);

	(void)state;
	assert_int_equal(schedule_exact_after(&grid), 2);
	assert_int_equal(schedule_exact_after(&hypercube), 10);
	assert_int_equal(schedule_exact_after(&prime), 0);
	assert_true(contraction > 0 && contraction < 0.2);
	schedule_release(&grid);
	schedule_release(&hypercube);
	schedule_release(&prime);
}

static void one_group_of_all_is_exact_at_once(void **state)
{
	static const int order[] = { 2, 0, 1 };
	struct schedule flat = schedule_flat(3, order), single = schedule_flat(1, NULL), copy;

	(void)state;
	assert_groups(&flat, "[[[2,0,1]]]");
	assert_int_equal(schedule_exact_after(&flat), 1);
	assert_near(schedule_contraction(&flat), 0, 0);
	assert_int_equal(schedule_exact_after(&single), 1);
	schedule_copy(&copy, &flat);
	schedule_release(&flat);
	assert_groups(&copy, "[[[2,0,1]]]");
	schedule_release(&copy);
	schedule_release(&single);
}

static void what_is_printed_reads_back_the_same(void **state)
{
	struct schedule schedule = schedule_rotating(7, NULL, 3, 3), back;
	struct json *json = schedule_json(&schedule);
	struct buf text = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(schedule_from_json(&back, json, &err), 0);
	json_print(json, 0, &text);
	assert_groups(&back, buf_text(&text));
	buf_release(&text);
	json_free(json);
	schedule_release(&schedule);
	schedule_release(&back);
}

static void broken_schedules_are_refused_with_their_reason(void **state)
{
	static const char *const cases[][2] = {
		{ "[]", "a schedule without ranks" },
		{ "{}", "a schedule without ranks" },
		{ "[[[]]]", "a schedule without ranks" },
		{ "[[0,1]]", "a schedule without ranks" },
		{ "[[[0,1],[]]]", "phase 0: a group is empty" },
		{ "[[[0,1]],[[0,1,2]]]", "phase 1: 3 ranks in its groups, not 2" },
		{ "[[[0,1]],[[0,0]]]", "phase 1: rank 0 is there twice" },
		{ "[[[0,2]]]", "phase 0: what is no rank of 2 is among its groups" },
		{ "[[[0,\"1\"]]]", "phase 0: what is no rank of 2 is among its groups" },
		{ "[[[0,-1]]]", "phase 0: what is no rank of 2 is among its groups" },
		{ "[[[0,18446744073709]]]", "phase 0: what is no rank of 2 is among its groups" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct schedule schedule;
		struct error err;
		struct json *json = json_parse(cases[i][0], strlen(cases[i][0]), &err);

		assert_non_null(json);
		assert_int_equal(schedule_from_json(&schedule, json, &err), -1);
		assert_string_equal(err.text, cases[i][1]);
		json_free(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mixed_radix_reaches_the_mean_after_one_step_per_axis),
		cmocka_unit_test(rotating_groups_of_a_prime_keep_the_mean_and_are_never_exact),
		cmocka_unit_test(an_order_lays_the_ranks_out_as_the_authors_table_does),
		cmocka_unit_test(contraction_of_three_ranks_in_pairs_is_a_half),
		cmocka_unit_test(groups_that_never_mix_contract_nothing),
		cmocka_unit_test(repeated_phases_are_exact_after_the_longest_wait),
		cmocka_unit_test(nothing_shrinks_less_than_the_contraction_says),
		cmocka_unit_test(random_groups_contract_as_in_theory),
		cmocka_unit_test(random_groups_are_of_their_seed_and_step_alone),
		cmocka_unit_test(a_thousand_ranks_are_counted),
		cmocka_unit_test(one_group_of_all_is_exact_at_once),
		cmocka_unit_test(what_is_printed_reads_back_the_same),
		cmocka_unit_test(broken_schedules_are_refused_with_their_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
