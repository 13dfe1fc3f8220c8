/* fedavg with what draws weights back. */
#include "tests/unit/unit.h"

#include "tests/unit/rounds.h"

enum { PERIOD = 8, WORLD = 3, STEPS = 40 };

static struct trial *ran(const char *strategy, const char *const *options)
{
	return trial_ran(&(struct trial){ .strategy = strategy,
					  .options = options,
					  .world = WORLD,
					  .steps = STEPS,
					  .rate = 0.1f,
					  .momentum = 0.5f });
}

static void no_mu_is_fedavg_bit_for_bit(void **state)
{
	struct trial *fedavg =
		ran("fedavg", (const char *const[]){ "period", "8", "clients", "2", NULL });
	struct trial *fedprox = ran(
		"fedprox", (const char *const[]){ "period", "8", "clients", "2", "mu", "0", NULL });

	(void)state;
	assert_true(trial_same(fedavg, fedprox));
	free(fedavg);
	free(fedprox);
}

/* The optimizer sees the gradient of the loss and mu times the way from the round's begin. */
static void each_step_is_drawn_back_by_mu_times_the_way(void **state)
{
	static const char *const options[] = { "period", "8", "mu", "0.7", NULL };
	struct trial *trial = trial_ran(&(struct trial){ .strategy = "fedprox",
							 .options = options,
							 .world = WORLD,
							 .steps = STEPS,
							 .rate = 0.1f });

	(void)state;
	for (size_t s = 0; s < STEPS; s++) {
		for (int r = 0; r < WORLD && (s + 1) % PERIOD != 0; r++) {
			const float *begin = trial->x[s - s % PERIOD][r], *x = trial->x[s][r];

			for (size_t i = 0; i < COUNT; i++) {
				double grad = (double)trial->gradient[s][r][i] +
					      0.7 * ((double)x[i] - (double)begin[i]);

				assert_true(fabs((double)x[i] - 0.1 * grad -
						 (double)trial->x[s + 1][r][i]) < 1e-6);
			}
		}
	}
	free(trial);
}

static double apart(const struct trial *trial, size_t completed)
{
	double sum = 0;

	for (int r = 1; r < WORLD; r++)
		for (size_t i = 0; i < COUNT; i++)
			sum += pow((double)trial->x[completed][r][i] -
					   (double)trial->x[completed][0][i],
				   2);
	return sum;
}

static void the_larger_mu_the_nearer_ranks_stay(void **state)
{
	static const char *const mu[] = { "0", "0.5", "2" };
	double before = INFINITY;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(mu); k++) {
		struct trial *trial =
			ran("fedprox", (const char *const[]){ "period", "8", "mu", mu[k], NULL });
		double now = apart(trial, STEPS - 1);

		assert_true(now > 0 && now < 0.8 * before);
		before = now;
		free(trial);
	}
}

static void a_run_that_was_stopped_is_drawn_back_to_the_same_weights(void **state)
{
	static const char *const options[] = { "period", "8", "mu", "0.5", NULL };

	(void)state;
	for (size_t stop = 7; stop < 12; stop += 2)
		assert_true(trial_resumes(&(struct trial){ .strategy = "fedprox",
							   .options = options,
							   .world = WORLD,
							   .steps = 30,
							   .rate = 0.1f },
					  stop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_mu_is_fedavg_bit_for_bit),
		cmocka_unit_test(each_step_is_drawn_back_by_mu_times_the_way),
		cmocka_unit_test(the_larger_mu_the_nearer_ranks_stay),
		cmocka_unit_test(a_run_that_was_stopped_is_drawn_back_to_the_same_weights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
