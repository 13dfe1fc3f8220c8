/* Which updates kardam takes. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/draw.h"
#include "lib/memory.h"
#include "runtime/sync/kardam_filter.h"

static struct kardam_filter *open_filter(size_t f, uint64_t warmup, size_t window)
{
	struct kardam_params params = {
		.workers = 3 * f + 1, .f = f, .window = window, .warmup = warmup
	};

	return kardam_filter_new(&params);
}

static enum kardam_verdict judge(struct kardam_filter *filter, size_t worker, double norm,
				 double growth, double own)
{
	struct kardam_update update = { worker, norm, growth, own };

	return kardam_filter_judge(filter, &update);
}

/* Every worker tells its coefficient, its number plus one. */
static void fill(struct kardam_filter *filter, size_t workers)
{
	for (size_t w = 0; w < workers; w++)
		judge(filter, w, 1, NAN, (double)w + 1);
}

static void without_liars_all_that_is_finite_is_taken(void **state)
{
	struct kardam_filter *filter = open_filter(0, 0, 25);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(judge(filter, 0, i, i * 1000.0, 1), KARDAM_ACCEPTED);
	kardam_filter_free(filter);
}

static void a_norm_that_is_not_finite_is_refused(void **state)
{
	(void)state;
	for (size_t f = 0; f < 2; f++) {
		struct kardam_filter *filter = open_filter(f, 0, 25);

		assert_int_equal(judge(filter, 0, NAN, 0, 1), KARDAM_NOT_FINITE);
		assert_int_equal(judge(filter, 0, INFINITY, 0, 1), KARDAM_NOT_FINITE);
		kardam_filter_free(filter);
	}
}

static void the_threshold_is_the_order_statistic(void **state)
{
	struct kardam_filter *filter = open_filter(1, 4, 25);

	(void)state;
	fill(filter, 4);
	assert_int_equal(judge(filter, 0, 1, 3, NAN), KARDAM_ACCEPTED); /* the third of 1 2 3 4 */
	assert_int_equal(judge(filter, 1, 1, nextafter(3, 4), NAN), KARDAM_GREW);
	kardam_filter_free(filter);
}

static void
a_worker_that_lies_about_itself_moves_the_threshold_no_further_than_honest_ones(void **state)
{
	struct kardam_filter *filter = open_filter(1, 4, 25);

	(void)state;
	fill(filter, 3);
	judge(filter, 3, 1, NAN, 1e300);
	assert_int_equal(judge(filter, 3, 1, 3.1, 1e300), KARDAM_GREW);
	kardam_filter_free(filter);
}

/* A ring that dropped the smallest instead would keep a large one for ever. */
static void a_coefficient_counts_for_a_window_of_its_worker_and_no_longer(void **state)
{
	struct kardam_filter *filter = open_filter(1, 4, 3);

	(void)state;
	for (size_t w = 0; w < 4; w++)
		judge(filter, w, 1, NAN, 9);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(judge(filter, 0, 1, 9, 1) == KARDAM_GREW, false);
		for (size_t w = 1; w < 4; w++)
			judge(filter, w, 1, 1e9, 1);
	}
	assert_int_equal(judge(filter, 0, 1, 9, 1), KARDAM_GREW);
	kardam_filter_free(filter);
}

static void growth_without_a_way_is_judged_by_the_norm(void **state)
{
	struct kardam_filter *filter = open_filter(1, 4, 25);

	(void)state;
	fill(filter, 4);
	assert_int_equal(judge(filter, 0, 2.1, NAN, NAN), KARDAM_GREW);
	assert_int_equal(judge(filter, 0, 2, NAN, NAN), KARDAM_ACCEPTED);
	kardam_filter_free(filter);
}

/* Before there are coefficients: a huge update is refused from the first one on. */
static void while_it_warms_up_the_norm_is_judged(void **state)
{
	struct kardam_filter *filter = open_filter(1, 100, 25);

	(void)state;
	assert_int_equal(judge(filter, 3, 1e6, NAN, NAN), KARDAM_GREW);
	assert_int_equal(judge(filter, 0, 1, NAN, NAN), KARDAM_GREW);
	assert_int_equal(judge(filter, 1, 1, NAN, NAN), KARDAM_ACCEPTED);
	assert_int_equal(judge(filter, 3, 1e6, 0, NAN), KARDAM_GREW);
	assert_int_equal(judge(filter, 2, 1.5, 1e9, NAN), KARDAM_ACCEPTED);
	kardam_filter_free(filter);
}

static void what_is_much_too_large_is_refused_whatever_its_growth(void **state)
{
	struct kardam_filter *filter = open_filter(1, 4, 25);

	(void)state;
	fill(filter, 4);
	assert_int_equal(judge(filter, 0, 2.1, 0, NAN), KARDAM_GREW);
	assert_int_equal(judge(filter, 0, 2, 0, NAN), KARDAM_ACCEPTED);
	kardam_filter_free(filter);
}

static size_t most_places(const size_t *taken, size_t length, size_t workers, size_t f)
{
	size_t *places = xcalloc(workers, sizeof(*places)), top = 0;

	for (size_t i = 0; i < length; i++)
		places[taken[i]]++;
	for (size_t k = 0; k < f; k++) {
		size_t best = 0;

		for (size_t w = 1; w < workers; w++)
			if (places[w] > places[best])
				best = w;
		top += places[best];
		places[best] = 0;
	}
	free(places);
	return top;
}

static void no_f_workers_make_more_than_f_of_2f_and_1_updates(void **state)
{
	enum { UPDATES = 3000 };

	(void)state;
	for (size_t f = 1; f <= 3; f++) {
		struct draw draw = { .seed = 7, .stream = f };
		struct kardam_filter *filter = open_filter(f, UPDATES, 25);
		size_t taken[UPDATES], count = 0, n = 3 * f + 1, window = 2 * f + 1;

		/* Some come much more often than others. */
		for (uint64_t i = 0; i < UPDATES; i++) {
			size_t w = draw_below(&draw, 2 * i, 1 + draw_below(&draw, 2 * i + 1, n));

			if (judge(filter, w, 1, NAN, NAN) == KARDAM_ACCEPTED)
				taken[count++] = w;
		}
		assert_true(count > 100);
		for (size_t i = 0; i + window <= count; i++)
			assert_true(most_places(taken + i, window, n, f) <= f);
		kardam_filter_free(filter);
	}
}

/* With n = 3f + 1 workers of which f say nothing. */
static void progress_goes_on_while_f_are_silent(void **state)
{
	(void)state;
	for (size_t f = 1; f <= 3; f++) {
		struct kardam_filter *filter = open_filter(f, 10, 25);

		for (size_t i = 0; i < 1000; i++)
			judge(filter, i % (2 * f + 1), 1, 1, 1);
		assert_true(kardam_filter_count(filter, KARDAM_ACCEPTED) >= 1000 - 2 * f);
		kardam_filter_free(filter);
	}
}

/* Whoever came often at first, before there were 2f + 1 updates. */
static void nobody_is_shut_out_by_who_came_first(void **state)
{
	struct kardam_filter *filter = open_filter(2, 1000, 25);

	(void)state;
	for (size_t i = 0; i < 100; i++)
		judge(filter, i % 5 == 0 ? i / 5 % 5 : 0, 1, NAN, NAN);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(judge(filter, 1 + (i + 4) % 5, 1, NAN, NAN), KARDAM_ACCEPTED);
	kardam_filter_free(filter);
}

static enum kardam_verdict random_update(struct kardam_filter *filter, uint64_t i)
{
	struct draw draw = { .seed = 3, .stream = i };
	double norm = draw_below(&draw, 0, 20) == 0 ? NAN : 1.0 + (double)draw_below(&draw, 1, 3);
	double growth = (double)draw_below(&draw, 2, 100), own = (double)draw_below(&draw, 3, 80);

	return judge(filter, draw_below(&draw, 4, 4), norm, growth, own);
}

static void verdicts_add_up_and_repeat(void **state)
{
	enum { UPDATES = 2000 };
	struct kardam_filter *first = open_filter(1, 8, 5), *second = open_filter(1, 8, 5);
	uint64_t sum = 0;

	(void)state;
	for (uint64_t i = 0; i < UPDATES; i++)
		assert_int_equal(random_update(first, i), random_update(second, i));
	for (int v = 0; v < KARDAM_VERDICTS; v++) {
		assert_true(kardam_filter_count(first, v) > 0);
		sum += kardam_filter_count(first, v);
	}
	assert_int_equal(sum, UPDATES);
	kardam_filter_free(first);
	kardam_filter_free(second);
}

static void the_hatch_opens_after_as_many_refusals_as_there_are_workers(void **state)
{
	struct kardam_params params = { .workers = 4, .f = 1, .window = 5, .hatch = true };
	struct kardam_filter *filter = kardam_filter_new(&params);

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(judge(filter, 0, 1, 1e9, 1), KARDAM_GREW);
	assert_int_equal(judge(filter, 0, 1, 1e9, 1), KARDAM_ACCEPTED);
	assert_int_equal(judge(filter, 0, 1, 1e9, 1), KARDAM_GREW);
	assert_int_equal(kardam_filter_hatched(filter), 1);
	kardam_filter_free(filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_liars_all_that_is_finite_is_taken),
		cmocka_unit_test(a_norm_that_is_not_finite_is_refused),
		cmocka_unit_test(the_threshold_is_the_order_statistic),
		cmocka_unit_test(
			a_worker_that_lies_about_itself_moves_the_threshold_no_further_than_honest_ones),
		cmocka_unit_test(a_coefficient_counts_for_a_window_of_its_worker_and_no_longer),
		cmocka_unit_test(growth_without_a_way_is_judged_by_the_norm),
		cmocka_unit_test(while_it_warms_up_the_norm_is_judged),
		cmocka_unit_test(what_is_much_too_large_is_refused_whatever_its_growth),
		cmocka_unit_test(no_f_workers_make_more_than_f_of_2f_and_1_updates),
		cmocka_unit_test(progress_goes_on_while_f_are_silent),
		cmocka_unit_test(nobody_is_shut_out_by_who_came_first),
		cmocka_unit_test(verdicts_add_up_and_repeat),
		cmocka_unit_test(the_hatch_opens_after_as_many_refusals_as_there_are_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
