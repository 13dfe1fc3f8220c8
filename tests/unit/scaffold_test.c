/* Control variates of ranks, and what they are good for. */
#include "tests/unit/unit.h"

#include "tests/unit/rounds.h"

enum { PERIOD = 4, WORLD = 4 };

/* The mean of the variates is what all ranks take it for, bit for bit the same. */
static void check_sum(const struct trial *trial)
{
	for (int r = 0; r < WORLD; r++)
		assert_memory_equal(trial_kept(trial, r, "all"), trial_kept(trial, 0, "all"),
				    COUNT * sizeof(float));
	for (size_t i = 0; i < COUNT; i++) {
		double rest = (double)trial_kept(trial, 0, "all")[i];

		for (int r = 0; r < WORLD; r++) {
			double share = trial->share ? trial->share[r] : 1.0 / WORLD;

			rest -= share * (double)trial_kept(trial, r, "own")[i];
		}
		assert_true(fabs(rest) < 1e-5);
	}
}

static void variates_add_up_to_nothing_but_their_mean(void **state)
{
	static const double share[WORLD] = { 0.1, 0.2, 0.3, 0.4 };
	static const char *const schemes[] = { "none", "topk", "qsgd", "sign" };
	static const char *const clients[] = { "0", "1", "3" };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(schemes); k++) {
		for (size_t c = 0; c < ARRAY_SIZE(clients); c++) {
			struct trial *trial = trial_ran(&(struct trial){
				.strategy = "scaffold",
				.options = (const char *const[]){ "period", "4", "clients",
								  clients[c], NULL },
				.compressor = schemes[k],
				.world = WORLD,
				.steps = 60,
				.rate = 0.1f,
				.share = c == 2 ? share : NULL });

			check_sum(trial);
			free(trial);
		}
	}
}

static void a_variate_is_the_mean_gradient_of_the_last_round(void **state)
{
	struct trial *trial =
		trial_ran(&(struct trial){ .strategy = "scaffold",
					   .options = (const char *const[]){ "period", "4", NULL },
					   .world = WORLD,
					   .steps = 40,
					   .rate = 0.1f,
					   .momentum = 0.5f });

	(void)state;
	for (int r = 0; r < WORLD; r++) {
		for (size_t i = 0; i < COUNT; i++) {
			double mean = 0;

			for (size_t s = trial->steps - PERIOD; s < trial->steps; s++)
				mean += (double)trial->gradient[s][r][i] / PERIOD;
			assert_true(fabs(mean - (double)trial_kept(trial, r, "own")[i]) < 1e-5);
		}
	}
	check_sum(trial);
	free(trial);
}

/* Of the bowl of all: their bottoms, by how steep they are. */
static double distance_to_bottom(const struct trial *trial)
{
	double sum = 0;

	for (size_t i = 0; i < COUNT; i++) {
		double bottom = 0, slopes = 0;

		for (int r = 0; r < WORLD; r++) {
			slopes += (double)trial->slope[r];
			bottom += (double)(trial->slope[r] * trial_number(r + 100, 0, i));
		}
		sum += pow((double)trial->x[trial->steps][0][i] - bottom / slopes, 2);
	}
	return sqrt(sum);
}

/* Ranks that train alone for long go to bottoms of their own, and the mean of these is not the
 * bottom of all where some bowls are steeper. */
static void ranks_that_differ_come_nearer_to_the_solution_than_with_fedavg(void **state)
{
	struct trial like = { .strategy = "fedavg",
			      .options = (const char *const[]){ "period", "12", NULL },
			      .world = WORLD,
			      .steps = 96,
			      .rate = 0.15f,
			      .slope = { 1, 1, 2, 6 } };
	struct trial *fedavg = trial_ran(&like), *scaffold;

	(void)state;
	like.strategy = "scaffold";
	scaffold = trial_ran(&like);
	assert_true(distance_to_bottom(scaffold) < 0.5 * distance_to_bottom(fedavg));
	free(fedavg);
	free(scaffold);
}

static void a_run_that_was_stopped_keeps_its_variates(void **state)
{
	static const char *const options[] = { "period", "4", "clients", "3", NULL };
	static const char *const schemes[] = { "none", "topk" };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(schemes); k++)
		for (size_t stop = 10; stop < 13; stop++)
			assert_true(trial_resumes(&(struct trial){ .strategy = "scaffold",
								   .options = options,
								   .compressor = schemes[k],
								   .world = WORLD,
								   .steps = 26,
								   .rate = 0.1f },
						  stop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variates_add_up_to_nothing_but_their_mean),
		cmocka_unit_test(a_variate_is_the_mean_gradient_of_the_last_round),
		cmocka_unit_test(ranks_that_differ_come_nearer_to_the_solution_than_with_fedavg),
		cmocka_unit_test(a_run_that_was_stopped_keeps_its_variates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
