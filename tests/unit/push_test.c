/* Weights pushed along edges that go one way: what push-sum must do on any such graph. */
#include "tests/unit/unit.h"

#include "runtime/graph.h"
#include "tests/unit/neighbours.h"

static const char *const graphs[] = {
	"ring", "exponential", "random", "complete", "one_peer", NULL
};

static struct trial *run(const char *graph, int world, size_t steps, double rate)
{
	const char *const options[] = { "graph", graph, "graph_probability", "0.2", NULL };
	struct trial *trial = trial_new(&(struct trial){ .strategy = "sgp",
							 .options = options,
							 .world = world,
							 .steps = steps,
							 .rate = rate });

	trial_run(trial, "inproc");
	return trial;
}

/* The state of each rank is x, then y. */
static double mass_of(const struct trial *trial)
{
	double mass = 0;

	for (int r = 0; r < trial->world; r++) {
		assert_int_equal(trial->end[r].floats, COUNT + 1);
		assert_true(trial->end[r].state[COUNT] > 0);
		mass += (double)trial->end[r].state[COUNT];
	}
	return mass;
}

static void neither_weights_nor_mass_come_or_go_at_any_time(void **state)
{
	(void)state;
	for (size_t g = 0; graphs[g]; g++) {
		for (size_t steps = 1; steps < 200; steps *= 3 * SPACING) {
			struct trial *trial = run(graphs[g], 7, steps, 0);

			assert_true(fabs(mass_of(trial) - 7) < 1e-5);
			for (size_t i = 0; i < COUNT; i++) {
				double sum = 0;

				for (int r = 0; r < 7; r++)
					sum += (double)trial->end[r].state[i];
				assert_true(fabs(sum - 7 * trial_mean(trial, i, false)) < 1e-5);
			}
			free(trial);
		}
	}
}

static void all_ranks_come_to_the_mean_of_all(void **state)
{
	(void)state;
	for (size_t g = 0; graphs[g]; g++) {
		for (int world = 2; world <= WORLD_MAX; world += 7 * SPACING) {
			struct trial *trial = run(graphs[g], world, 200 + 30 * (size_t)world, 0);

			for (int r = 0; r < world; r++)
				for (size_t i = 0; i < COUNT; i++)
					assert_true(fabs((double)trial->end[r].x[i] -
							 trial_mean(trial, i, false)) < 2e-5);
			assert_true(trial->drift[1].consensus < 1e-4);
			free(trial);
		}
	}
}

/* Of 2^k ranks one round of the exponential graph's edges makes the mean of all. */
static void one_peer_at_a_time_is_exact_after_all_powers_of_two(void **state)
{
	struct trial *trial = run("one_peer", 8, 3, 0);

	(void)state;
	assert_true(trial_spread(trial) < 1e-6);
	assert_true(trial->payload[0] == 3 * (COUNT + 1) * sizeof(float));
	assert_true(trial->drift[0].participants == 2);
	free(trial);
}

/* The ranks' degrees differ, and so do their shares of the mass: weights alone would be biased. */
static void ranks_that_hear_more_than_others_do_not_count_more(void **state)
{
	struct trial *trial = run("random", 9, 600, 0.05);
	double least = 9, most = 0;

	(void)state;
	for (int r = 0; r < 9; r++) {
		least = fmin(least, (double)trial->end[r].state[COUNT]);
		most = fmax(most, (double)trial->end[r].state[COUNT]);
	}
	assert_true(most > 1.3 * least);
	for (size_t i = 0; i < COUNT; i++) {
		double bottom = 0;

		for (int r = 0; r < 9; r++)
			bottom += (double)neighbours_number(r, 2000, i) / 9;
		assert_true(fabs(trial_mean(trial, i, true) - bottom) < 0.05);
	}
	free(trial);
}

static void what_goes_on_has_the_same_bits(void **state)
{
	(void)state;
	check_resume(&(struct trial){ .strategy = "sgp", .world = 5, .steps = 11, .rate = 0.2 },
		     "tcp encrypt=no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neither_weights_nor_mass_come_or_go_at_any_time),
		cmocka_unit_test(all_ranks_come_to_the_mean_of_all),
		cmocka_unit_test(one_peer_at_a_time_is_exact_after_all_powers_of_two),
		cmocka_unit_test(ranks_that_hear_more_than_others_do_not_count_more),
		cmocka_unit_test(what_goes_on_has_the_same_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
