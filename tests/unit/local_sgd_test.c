/* Local SGD whose period follows how far ranks come apart. */
#include "tests/unit/unit.h"

#include "tests/unit/rounds.h"

/* After which steps all ranks have the same weights. */
static void check_averages(const char *const *options, const size_t *wanted, size_t count)
{
	struct trial *trial = trial_ran(&(struct trial){ .strategy = "local_sgd",
							 .options = options,
							 .world = 3,
							 .steps = wanted[count - 1],
							 .rate = 0.1f });
	size_t next = 0;

	for (size_t s = 1; s <= trial->steps; s++) {
		bool due = s == wanted[next];

		assert_true(trial_ranks_agree(trial, s) == due);
		next += due;
	}
	assert_int_equal(next, count);
	free(trial);
}

static void the_period_stays_unless_it_is_to_adapt(void **state)
{
	static const size_t wanted[] = { 5, 10, 15, 20 };

	(void)state;
	check_averages((const char *const[]){ "period", "5", NULL }, wanted, ARRAY_SIZE(wanted));
}

static void the_period_grows_while_ranks_are_near_to_each_other(void **state)
{
	static const size_t wanted[] = { 2, 5, 9, 15, 22, 29, 36 };

	(void)state;
	check_averages(
		(const char *const[]){ "period", "2", "divergence", "1", "longest", "7", NULL },
		wanted, ARRAY_SIZE(wanted));
}

static void the_period_shrinks_where_they_are_not(void **state)
{
	static const size_t wanted[] = { 8, 12, 14, 15, 16, 17 };

	(void)state;
	check_averages((const char *const[]){ "period", "8", "divergence", "1e-9", NULL }, wanted,
		       ARRAY_SIZE(wanted));
}

static double most_apart(const struct trial *trial, size_t completed)
{
	double most = 0;

	for (int r = 1; r < trial->world; r++)
		for (size_t i = 0; i < COUNT; i++)
			most = fmax(most, fabs((double)trial->x[completed][r][i] -
					       (double)trial->x[completed][0][i]));
	return most;
}

/* One rank goes much farther than the others: what each of them sees differs, what they agree on
 * must not. Ranks of different periods would wait for each other for ever. */
static void all_ranks_have_the_same_period_whatever_each_of_them_sees(void **state)
{
	static const char *const limits[] = { "0.003", "0.01", "0.03", "0.1", "0.3" };
	size_t averages[ARRAY_SIZE(limits)] = { 0 };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(limits); k++) {
		struct trial *trial = trial_ran(&(struct trial){
			.strategy = "local_sgd",
			.options = (const char *const[]){ "period", "4", "divergence", limits[k],
							  NULL },
			.world = 4,
			.steps = 64,
			.rate = 0.02f,
			.slope = { 1, 1, 1, 8 } });

		for (size_t s = 1; s <= trial->steps; s++)
			averages[k] += most_apart(trial, s) == 0;
		free(trial);
	}
	for (size_t k = 1; k < ARRAY_SIZE(limits); k++)
		assert_true(averages[k] <= averages[k - 1]);
	assert_true(averages[0] > 2 * averages[ARRAY_SIZE(limits) - 1]);
}

static void a_run_that_was_stopped_keeps_its_period(void **state)
{
	static const char *const options[] = { "period", "3", "divergence", "0.05", NULL };
	static const char *const schemes[] = { "none", "topk" };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(schemes); k++)
		for (size_t stop = 17; stop < 20; stop++)
			assert_true(trial_resumes(&(struct trial){ .strategy = "local_sgd",
								   .options = options,
								   .compressor = schemes[k],
								   .world = 3,
								   .steps = 40,
								   .rate = 0.1f },
						  stop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_period_stays_unless_it_is_to_adapt),
		cmocka_unit_test(the_period_grows_while_ranks_are_near_to_each_other),
		cmocka_unit_test(the_period_shrinks_where_they_are_not),
		cmocka_unit_test(all_ranks_have_the_same_period_whatever_each_of_them_sees),
		cmocka_unit_test(a_run_that_was_stopped_keeps_its_period),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
