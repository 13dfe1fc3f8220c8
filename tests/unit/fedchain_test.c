/* A local phase, a choice, a global phase. */
#include "tests/unit/unit.h"

#include "tests/unit/rounds.h"

enum { PERIOD = 4, STEPS = 40, SWITCH = 20, BATCHES = 3 };

#define CHAIN(part) "period", "4", "batches", "3", "switch", part

/* A switch in the middle. */
static struct trial chain(int world)
{
	static const char *const options[] = { CHAIN("0.5"), NULL };

	return (struct trial){ .strategy = "fedchain",
			       .options = options,
			       .world = world,
			       .steps = STEPS,
			       .rate = 0.1f,
			       .momentum = 0.5f };
}

static void check_same(const struct trial *like, const struct trial *other)
{
	struct trial *a = trial_ran(like), *b = trial_ran(other);

	assert_true(trial_same(a, b));
	free(a);
	free(b);
}

static void a_switch_at_the_end_is_fedavg_bit_for_bit(void **state)
{
	struct trial fedavg = chain(3), chained = chain(3);

	(void)state;
	fedavg.strategy = "fedavg";
	fedavg.options = (const char *const[]){ "period", "4", "clients", "2", NULL };
	chained.options = (const char *const[]){ CHAIN("1"), "clients", "2", NULL };
	for (size_t steps = STEPS - PERIOD; steps <= STEPS; steps++) {
		fedavg.steps = chained.steps = steps;
		check_same(&fedavg, &chained);
	}
}

static void a_switch_at_the_begin_is_bsp_bit_for_bit(void **state)
{
	(void)state;
	for (int world = 1; world <= 4; world *= 2) {
		struct trial bsp = chain(world), chained = chain(world);

		bsp.strategy = "bsp";
		bsp.options = NULL;
		chained.options = (const char *const[]){ CHAIN("0"), NULL };
		check_same(&bsp, &chained);
	}
}

/* Whether all went on from what the run began with, else from the mean of the last round. */
static bool went_back(const struct trial *trial)
{
	bool back = memcmp(trial->x[SWITCH], trial->x[0], sizeof(trial->x[0][0])) == 0;

	assert_true(trial_ranks_agree(trial, SWITCH));
	assert_true(trial_ranks_agree(trial, SWITCH + 1));
	return back;
}

static bool is_first(const float *x)
{
	return x[0] == trial_number(0, 1000, 0);
}

static double the_same(const struct trial *trial, int rank, size_t step, const float *x)
{
	(void)trial;
	(void)rank;
	(void)step;
	(void)x;
	return 2.5;
}

/* What one rank finds good most find bad. */
static double better_for_most(const struct trial *trial, int rank, size_t step, const float *x)
{
	(void)trial;
	(void)step;
	return is_first(x) ? 1 : rank == 0 ? 1.5 : 0.5;
}

static double worse_for_most(const struct trial *trial, int rank, size_t step, const float *x)
{
	(void)trial;
	(void)step;
	return is_first(x) ? 1 : rank == 0 ? 0.5 : 1.5;
}

static double not_finite_after_one(const struct trial *trial, int rank, size_t step, const float *x)
{
	(void)trial;
	return is_first(x) ? 1 : rank == 1 && step == SWITCH ? INFINITY : 0.5;
}

static double not_finite_before(const struct trial *trial, int rank, size_t step, const float *x)
{
	(void)trial;
	(void)rank;
	(void)step;
	return is_first(x) ? (double)NAN : 1;
}

/* By the sum over the steps alone. */
static double better_at_the_last(const struct trial *trial, int rank, size_t step, const float *x)
{
	(void)trial;
	(void)rank;
	assert(step >= SWITCH && step < SWITCH + BATCHES);
	return is_first(x) ? 1 : step == SWITCH + BATCHES - 1 ? -10 : 2;
}

static void all_go_on_from_the_better_one_and_from_the_begin_if_none_is(void **state)
{
	static const struct {
		double (*loss)(const struct trial *, int, size_t, const float *);
		bool back;
	} cases[] = { { NULL, false },
		      { the_same, true },
		      { better_for_most, false },
		      { worse_for_most, true },
		      { not_finite_after_one, true },
		      { not_finite_before, false },
		      { better_at_the_last, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct trial like = chain(3);
		struct trial *trial;

		like.loss = cases[i].loss;
		trial = trial_ran(&like);
		assert_true(went_back(trial) == cases[i].back);
		free(trial);
	}
}

/* Samples that only one rank has many of decide. */
static void losses_count_by_samples(void **state)
{
	static const double share[] = { 0.8, 0.1, 0.1 };
	struct trial like = chain(3), *trial;

	(void)state;
	like.share = share;
	like.loss = worse_for_most;
	trial = trial_ran(&like);
	assert_false(went_back(trial));
	free(trial);
}

/* No slot is left of the local phase, and from then on every step is of the mean gradient. */
static void the_global_phase_is_large_batches_with_an_optimizer_that_knows_nothing(void **state)
{
	struct trial like = chain(4), *trial = trial_ran(&like);
	double slot[COUNT] = { 0 };

	(void)state;
	for (size_t s = SWITCH; s < STEPS; s++) {
		assert_true(trial_ranks_agree(trial, s));
		for (size_t i = 0; i < COUNT; i++) {
			double mean = 0;

			for (int r = 0; r < 4; r++)
				mean += (double)trial->gradient[s][r][i] / 4;
			slot[i] = 0.5 * slot[i] + mean;
			assert_true(fabs((double)trial->x[s][0][i] - 0.1 * slot[i] -
					 (double)trial->x[s + 1][0][i]) < 1e-5);
		}
	}
	free(trial);
}

static void acceleration_goes_on_along_the_way_of_the_last_step(void **state)
{
	struct trial like = chain(2), *trial;
	double before[COUNT];

	(void)state;
	like.momentum = 0;
	like.options = (const char *const[]){ CHAIN("0.5"), "acceleration", "0.8", NULL };
	trial = trial_ran(&like);
	for (size_t i = 0; i < COUNT; i++)
		before[i] = (double)trial->x[SWITCH][0][i];
	for (size_t s = SWITCH; s < STEPS; s++) {
		for (size_t i = 0; i < COUNT; i++) {
			double mean = ((double)trial->gradient[s][0][i] +
				       (double)trial->gradient[s][1][i]) /
				      2;
			double stepped = (double)trial->x[s][0][i] - 0.1 * mean;
			double wanted = stepped + 0.8 * (stepped - before[i]);

			assert_true(fabs(wanted - (double)trial->x[s + 1][0][i]) < 1e-5);
			before[i] = stepped;
		}
	}
	free(trial);
}

static void nothing_is_sent_within_a_round_and_a_sum_in_every_step_after_the_switch(void **state)
{
	struct trial like = chain(2), *trial = trial_ran(&like);

	(void)state;
	for (size_t s = 1; s <= STEPS; s++) {
		uint64_t sent = trial->payload[s][0] - trial->payload[s - 1][0];

		if (s > SWITCH || (s % PERIOD == 0 && s < SWITCH))
			assert_int_equal(sent, COUNT * sizeof(float));
		else if (s != SWITCH)
			assert_int_equal(sent, 0);
	}
	free(trial);
}

static void a_run_that_was_stopped_goes_on_in_its_phase(void **state)
{
	static const char *const schemes[] = { "none", "int8" };
	static const size_t stops[] = { 6, SWITCH - 1, SWITCH, SWITCH + 1, 30 };
	struct trial like = chain(3);

	(void)state;
	like.options =
		(const char *const[]){ CHAIN("0.5"), "clients", "2", "acceleration", "0.5", NULL };
	for (size_t k = 0; k < ARRAY_SIZE(schemes); k++) {
		like.compressor = schemes[k];
		for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
			assert_true(trial_resumes(&like, stops[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_switch_at_the_end_is_fedavg_bit_for_bit),
		cmocka_unit_test(a_switch_at_the_begin_is_bsp_bit_for_bit),
		cmocka_unit_test(all_go_on_from_the_better_one_and_from_the_begin_if_none_is),
		cmocka_unit_test(losses_count_by_samples),
		cmocka_unit_test(
			the_global_phase_is_large_batches_with_an_optimizer_that_knows_nothing),
		cmocka_unit_test(acceleration_goes_on_along_the_way_of_the_last_step),
		cmocka_unit_test(
			nothing_is_sent_within_a_round_and_a_sum_in_every_step_after_the_switch),
		cmocka_unit_test(a_run_that_was_stopped_goes_on_in_its_phase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
