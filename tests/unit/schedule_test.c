/* Learning rates over the steps: every schedule in the registry, and warm-up before it. */
#include "tests/unit/unit.h"

#include <math.h>

#include "runtime/optim/optim.h"
#include "tests/unit/part.h"

enum { STEPS = 100 };

/* The learning rate of every step, with lr 0.5. */
static void learning_rates(double *lr, const struct entry *schedule, const char *const *options,
			   size_t warmup)
{
	static const char *const half[] = { "lr", "0.5", NULL };
	struct part optimizer = part_with(registry_find(&optimizers, "sgd"), half);
	struct part part = part_with(schedule, options);
	struct schedule_params params = { .warmup = warmup };
	struct optim *optim = optim_new(&(struct optim_env){ .optimizer = &optimizer,
							     .schedule = &part,
							     .schedule_params = &params,
							     .steps = STEPS });

	for (size_t i = 0; i < STEPS; i++)
		lr[i] = optim_lr(optim, i);
	optim_free(optim);
	part_release(&optimizer);
	part_release(&part);
}

static void every_schedule_starts_at_lr_and_never_rises(void **state)
{
	double lr[STEPS];

	(void)state;
	for (size_t e = 0; schedules.entries[e]; e++) {
		learning_rates(lr, schedules.entries[e], NULL, 0);
		assert_true(lr[0] == 0.5);
		for (size_t i = 1; i < STEPS; i++)
			assert_true(lr[i] <= lr[i - 1] && lr[i] >= 0);
	}
}

static void warm_up_grows_evenly_and_then_the_schedule_starts(void **state)
{
	double lr[STEPS];

	(void)state;
	for (size_t e = 0; schedules.entries[e]; e++) {
		learning_rates(lr, schedules.entries[e], NULL, 10);
		for (size_t i = 0; i < 10; i++)
			assert_true(fabs(lr[i] - 0.05 * (double)(i + 1)) < 1e-12);
		assert_true(lr[10] == 0.5);
		assert_true(lr[STEPS - 1] <= lr[10]);
	}
}

static void warm_up_may_be_longer_than_the_training(void **state)
{
	double lr[STEPS];

	(void)state;
	for (size_t e = 0; schedules.entries[e]; e++) {
		learning_rates(lr, schedules.entries[e], NULL, 2 * STEPS);
		assert_true(fabs(lr[STEPS - 1] - 0.25) < 1e-12);
	}
}

static void constant_stays(void **state)
{
	double lr[STEPS];

	(void)state;
	learning_rates(lr, registry_find(&schedules, "constant"), NULL, 0);
	assert_true(lr[STEPS - 1] == 0.5);
}

static void step_falls_at_multiples_of_every(void **state)
{
	static const char *const options[] = { "every", "30", "gamma", "0.5", NULL };
	double lr[STEPS];

	(void)state;
	learning_rates(lr, registry_find(&schedules, "step"), options, 0);
	assert_true(lr[29] == 0.5);
	assert_true(lr[30] == 0.25);
	assert_true(lr[59] == 0.25);
	assert_true(lr[60] == 0.125);
	assert_true(lr[99] == 0.0625);
}

static void cosine_is_halfway_in_the_middle_and_ends_near_its_floor(void **state)
{
	static const char *const options[] = { "floor", "0.2", NULL };
	double lr[STEPS];

	(void)state;
	learning_rates(lr, registry_find(&schedules, "cosine"), NULL, 0);
	assert_true(fabs(lr[50] - 0.25) < 1e-12);
	assert_true(lr[99] > 0 && lr[99] < 0.001);
	learning_rates(lr, registry_find(&schedules, "cosine"), options, 20);
	assert_true(fabs(lr[60] - 0.5 * (0.2 + 0.8 * 0.5)) < 1e-12); /* 40 of the 80 left */
	assert_true(lr[99] > 0.1 && lr[99] < 0.101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_schedule_starts_at_lr_and_never_rises),
		cmocka_unit_test(warm_up_grows_evenly_and_then_the_schedule_starts),
		cmocka_unit_test(warm_up_may_be_longer_than_the_training),
		cmocka_unit_test(constant_stays),
		cmocka_unit_test(step_falls_at_multiples_of_every),
		cmocka_unit_test(cosine_is_halfway_in_the_middle_and_ends_near_its_floor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
