/* Rules that no few wrong vectors lead astray. */
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/aggregate.h"
#include "runtime/rng.h"

enum { MOST = 9, COUNT = 60, RULES = 5 };

struct rows {
	float x[MOST][COUNT];
	size_t n;
};

/* Honest ones: 5 + i / COUNT at coordinate i, and a little noise. */
static void fill(struct rows *rows, size_t n)
{
	rows->n = n;
	for (size_t r = 0; r < n; r++) {
		struct rng rng = rng_make(42, RNG_DATA, r, n);

		for (size_t i = 0; i < COUNT; i++)
			rows->x[r][i] = 5 + (float)i / COUNT + 0.1f * (float)rng_normal(&rng, i);
	}
}

static void apply(enum aggregate_rule rule, const struct rows *rows, size_t tolerate, float *y)
{
	float distance[MOST * MOST], part[MOST * MOST];
	const float *all[MOST], *later[MOST];
	struct aggregate *aggregate;
	struct error err;

	for (size_t r = 0; r < rows->n; r++) {
		all[r] = rows->x[r];
		later[r] = rows->x[r] + COUNT / 3;
	}
	aggregate = aggregate_new(rule, rows->n, tolerate, &err);
	assert_non_null(aggregate);
	if (aggregate_chooses(aggregate)) { /* from two pieces */
		aggregate_distances(aggregate, all, COUNT / 3, distance);
		aggregate_distances(aggregate, later, COUNT - COUNT / 3, part);
		for (size_t i = 0; i < rows->n * rows->n; i++)
			distance[i] += part[i];
		assert_int_equal(aggregate_choose(aggregate, distance, &err), 0);
	}
	aggregate_mix(aggregate, all, COUNT, y);
	aggregate_free(aggregate);
}

static void which_row_is_whose_changes_nothing(void **state)
{
	(void)state;
	for (int rule = 0; rule < RULES; rule++) {
		struct rows rows, turned;
		float y[COUNT], z[COUNT];

		fill(&rows, 7);
		rows.x[3][8] = NAN;
		turned.n = rows.n;
		for (size_t r = 0; r < rows.n; r++)
			memcpy(turned.x[(r * 3 + 2) % rows.n], rows.x[r], sizeof(rows.x[r]));
		apply((enum aggregate_rule)rule, &rows, 2, y);
		apply((enum aggregate_rule)rule, &turned, 2, z);
		for (size_t i = 0; i < COUNT; i++) /* the order of sums may */
			assert_true(fabsf(y[i] - z[i]) <= 1e-6f * fabsf(y[i]));
	}
}

static void no_wrong_row_draws_the_result_away(void **state)
{
	static const float wrong[] = { NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 100, 0, -5 };

	(void)state;
	for (int rule = 0; rule < RULES; rule++) {
		for (size_t w = 0; w < sizeof(wrong) / sizeof(wrong[0]); w++) {
			struct rows rows;
			float y[COUNT];

			fill(&rows, 7);
			for (size_t i = 0; i < COUNT; i++)
				rows.x[0][i] = rows.x[4][i] = wrong[w];
			apply((enum aggregate_rule)rule, &rows, 2, y);
			for (size_t i = 0; i < COUNT; i++)
				assert_true(fabsf(y[i] - 5 - (float)i / COUNT) < 0.4f);
		}
	}
}

static void the_mean_would_be_drawn_away(void **state)
{
	struct rows rows;
	float y[COUNT];

	(void)state;
	fill(&rows, 7);
	for (size_t i = 0; i < COUNT; i++)
		rows.x[0][i] = FLT_MAX;
	apply(AGGREGATE_TRIMMED_MEAN, &rows, 0, y);
	assert_true(y[0] > 1e30f);
}

static void a_trimmed_mean_that_tolerates_nobody_is_the_mean(void **state)
{
	struct rows rows;
	float y[COUNT];

	(void)state;
	fill(&rows, 8);
	apply(AGGREGATE_TRIMMED_MEAN, &rows, 0, y);
	for (size_t i = 0; i < COUNT; i++) {
		double sum = 0;

		for (size_t r = 0; r < rows.n; r++)
			sum += rows.x[r][i];
		assert_true(fabs(y[i] - sum / 8) < 1e-6);
	}
}

static void a_median_of_an_even_number_is_between_the_two_in_the_middle(void **state)
{
	struct rows rows;
	float y[COUNT];

	(void)state;
	fill(&rows, 4);
	for (size_t r = 0; r < 4; r++)
		rows.x[r][0] = (float[]){ 7, 1, 4, 100 }[r];
	apply(AGGREGATE_MEDIAN, &rows, 1, y);
	assert_true(y[0] == 5.5f);
	apply(AGGREGATE_TRIMMED_MEAN, &rows, 1, y);
	assert_true(y[0] == 5.5f);
	rows.x[3][0] = NAN;
	apply(AGGREGATE_MEDIAN, &rows, 1, y);
	assert_true(y[0] == 4);
	apply(AGGREGATE_TRIMMED_MEAN, &rows, 1, y);
	assert_true(y[0] == 4);
}

static void the_majority_decides_on_the_sign(void **state)
{
	struct rows rows;
	float y[COUNT];

	(void)state;
	fill(&rows, 5);
	for (size_t r = 0; r < 5; r++) {
		rows.x[r][0] = (float[]){ 1, 2, 3, -50, -60 }[r];
		rows.x[r][1] = (float[]){ -1, -2, -3, 50, NAN }[r];
		rows.x[r][2] = (float[]){ -1, -2, 3, 4, 0 }[r];
	}
	apply(AGGREGATE_MAJORITY, &rows, 2, y);
	assert_true(y[0] == 3);
	assert_true(y[1] == -2.5f);
	assert_true(y[2] == 0);
}

static void krum_takes_a_row_as_it_is_and_the_first_of_equals(void **state)
{
	struct rows rows;
	float y[COUNT];
	size_t found = MOST;

	(void)state;
	fill(&rows, 7);
	apply(AGGREGATE_KRUM, &rows, 2, y);
	for (size_t r = 0; r < rows.n; r++)
		if (memcmp(y, rows.x[r], sizeof(y)) == 0)
			found = r;
	assert_true(found < rows.n);
	for (size_t r = 1; r < 6; r++) /* five of one kind, and rank 0 and 6 of another */
		memcpy(rows.x[r], rows.x[1], sizeof(y));
	for (size_t r = 1; r < 6; r++)
		rows.x[r][COUNT - 1] = r % 2 ? 5 : 6; /* ranks 1, 3, 5 are closest */
	apply(AGGREGATE_KRUM, &rows, 2, y);
	assert_memory_equal(y, rows.x[1], sizeof(y));
}

static void more_wrong_rows_than_a_rule_can_bear_are_an_error(void **state)
{
	struct error err;
	struct aggregate *aggregate;
	struct rows rows;
	float distance[MOST * MOST];
	const float *all[MOST];

	(void)state;
	assert_null(aggregate_new(AGGREGATE_MEDIAN, 4, 2, &err));
	assert_string_equal(err.text, "rule 'median' needs 5 ranks to bear 2 that are wrong, and "
				      "there are 4");
	assert_null(aggregate_new(AGGREGATE_TRIMMED_MEAN, 2, 1, &err));
	assert_null(aggregate_new(AGGREGATE_KRUM, 6, 2, &err));
	assert_string_equal(err.text, "rule 'krum' needs 7 ranks to bear 2 that are wrong, and "
				      "there are 6");
	fill(&rows, 5);
	for (size_t r = 0; r < 5; r++) {
		rows.x[r][0] = r < 3 ? NAN : 0;
		all[r] = rows.x[r];
	}
	aggregate = aggregate_new(AGGREGATE_KRUM, 5, 1, &err);
	assert_non_null(aggregate);
	aggregate_distances(aggregate, all, COUNT, distance);
	assert_int_equal(aggregate_choose(aggregate, distance, &err), -1);
	assert_non_null(strstr(err.text, "too few gradients are finite"));
	aggregate_free(aggregate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_row_is_whose_changes_nothing),
		cmocka_unit_test(no_wrong_row_draws_the_result_away),
		cmocka_unit_test(the_mean_would_be_drawn_away),
		cmocka_unit_test(a_trimmed_mean_that_tolerates_nobody_is_the_mean),
		cmocka_unit_test(a_median_of_an_even_number_is_between_the_two_in_the_middle),
		cmocka_unit_test(the_majority_decides_on_the_sign),
		cmocka_unit_test(krum_takes_a_row_as_it_is_and_the_first_of_equals),
		cmocka_unit_test(more_wrong_rows_than_a_rule_can_bear_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
