/* Faults and slowness on purpose. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "runtime/fault.h"

enum { STEPS = 2000, COUNT = 1000 };

static size_t two[] = { 2 }, one_and_two[] = { 1, 2 };

static struct fault_params usual(void)
{
	struct fault_params params = { 0 };

	opt_defaults(fault_options, &params);
	opt_release(fault_options, &params); /* lists, of which none has a rank */
	return params;
}

static struct fault of(const struct fault_params *params, unsigned rank)
{
	return fault_of_rank(params, 42, rank, 0.25);
}

static size_t count_slow(const struct fault_params *params, unsigned rank)
{
	struct fault fault = of(params, rank);
	size_t slow = 0;

	for (size_t step = 0; step < STEPS; step++) {
		double lasts = fault_lasts(&fault, step, 1);

		assert_true(lasts == 1 || lasts == 10);
		assert_true(fault_lasts(&fault, step, 1) == lasts);
		slow += lasts == 10;
	}
	return slow;
}

static void nothing_happens_by_default(void **state)
{
	struct fault_params params = usual();
	struct fault fault = of(&params, 1);
	float grad[] = { 1, -2 };
	struct buf text = { 0 };

	(void)state;
	assert_true(fault_lasts(&fault, 7, 0.5) == 0.5);
	fault_gradient(&fault, 7, 0, grad, 2);
	assert_true(grad[0] == 1 && grad[1] == -2);
	fault_describe(&params, &text);
	assert_int_equal(text.length, 0);
}

static void ranks_straggle_as_often_as_said_and_not_together(void **state)
{
	struct fault_params params = usual();
	struct fault first = of(&params, 0), second = of(&params, 1);
	size_t both = 0;

	(void)state;
	params.probability = 0.1;
	for (unsigned rank = 0; rank < 4; rank++)
		assert_in_range(count_slow(&params, rank), STEPS / 14, STEPS / 7);
	for (size_t step = 0; step < STEPS; step++)
		both += fault_lasts(&first, step, 1) > 1 && fault_lasts(&second, step, 1) > 1;
	assert_in_range(both, 1, STEPS / 40);
}

static void only_ranks_that_are_named_straggle(void **state)
{
	struct fault_params params = usual();

	(void)state;
	params.probability = 1;
	params.stragglers = (struct opt_counts){ two, 1 };
	assert_int_equal(count_slow(&params, 1), 0);
	assert_int_equal(count_slow(&params, 2), STEPS);
	params.probability = 0;
	params.permanent = (struct opt_counts){ one_and_two, 2 };
	assert_int_equal(count_slow(&params, 0), 0);
	assert_int_equal(count_slow(&params, 1), STEPS);
}

static void a_paced_step_lasts_so_long_and_a_straggling_one_so_many_times(void **state)
{
	struct fault_params params = usual();
	struct fault fast = of(&params, 0), slow = of(&params, 2);

	(void)state;
	params.compute_s = 0.2;
	params.permanent = (struct opt_counts){ two, 1 };
	assert_true(fault_lasts(&fast, 3, 0.01) == 0.2);
	assert_true(fault_lasts(&fast, 3, 0.5) == 0.5);
	assert_true(fault_lasts(&slow, 3, 0.01) == 2);
}

/* Of 1, 2, 3, ... as the rank's own mean, a quarter of which is its part of the sum. */
static void corrupt(int kind, unsigned rank, float *grad)
{
	struct fault_params params = usual();
	struct fault fault;

	params.kind = kind;
	params.ranks = (struct opt_counts){ one_and_two, 2 };
	fault = of(&params, rank);
	for (size_t i = 0; i < COUNT; i++)
		grad[i] = 0.25f * (float)(i + 1);
	fault_gradient(&fault, 5, 0, grad, 300); /* in pieces, as backward yields them */
	fault_gradient(&fault, 5, 300, grad + 300, COUNT - 300);
}

static void each_kind_does_what_it_says_to_the_ranks_that_are_named(void **state)
{
	float grad[COUNT], again[COUNT];
	double sum = 0, squares = 0;

	(void)state;
	corrupt(FAULT_SIGN_FLIP, 1, grad);
	assert_true(grad[0] == -2.5f && grad[999] == -2500);
	corrupt(FAULT_SCALE, 2, grad);
	assert_true(grad[0] == 2.5f && grad[999] == 2500);
	corrupt(FAULT_CONSTANT, 2, grad);
	assert_true(grad[0] == 2.5f && grad[999] == 2.5f);
	corrupt(FAULT_NAN, 1, grad);
	assert_true(isnan(grad[0]) && isnan(grad[999]));
	corrupt(FAULT_NAN, 3, grad);
	assert_true(grad[0] == 0.25f && grad[999] == 250);
	corrupt(FAULT_NOISE, 1, grad);
	corrupt(FAULT_NOISE, 1, again);
	assert_memory_equal(grad, again, sizeof(grad));
	for (size_t i = 0; i < COUNT; i++) {
		double noise = grad[i] - 0.25 * (double)(i + 1);

		sum += noise;
		squares += noise * noise;
	}
	assert_true(fabs(sum / COUNT) < 0.4);
	assert_true(fabs(sqrt(squares / COUNT) - 2.5) < 0.3);
}

static void a_rank_that_does_not_exist_is_an_error(void **state)
{
	struct fault_params params = usual();
	struct error err;

	(void)state;
	params.permanent = (struct opt_counts){ one_and_two, 2 };
	assert_int_equal(fault_check(&params, 3, &err), 0);
	assert_int_equal(fault_check(&params, 2, &err), -1);
	assert_string_equal(err.text, "fault.straggle.permanent: there is no rank 2; 2 ranks count "
				      "from 0 on");
}

static void what_is_injected_can_be_said_in_a_line(void **state)
{
	struct fault_params params = usual();
	struct buf text = { 0 };

	(void)state;
	params.kind = FAULT_NAN;
	params.ranks = (struct opt_counts){ two, 1 };
	params.probability = 0.1;
	params.permanent = (struct opt_counts){ one_and_two, 2 };
	params.compute_s = 0.05;
	fault_describe(&params, &text);
	assert_string_equal(buf_text(&text),
			    "gradients of rank 2 are wrong (nan); 10 % of the steps take 10 times "
			    "as long; all steps of ranks 1, 2 take 10 times as long; a step "
			    "computes for at least 0.05 s");
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_happens_by_default),
		cmocka_unit_test(ranks_straggle_as_often_as_said_and_not_together),
		cmocka_unit_test(only_ranks_that_are_named_straggle),
		cmocka_unit_test(a_paced_step_lasts_so_long_and_a_straggling_one_so_many_times),
		cmocka_unit_test(each_kind_does_what_it_says_to_the_ranks_that_are_named),
		cmocka_unit_test(a_rank_that_does_not_exist_is_an_error),
		cmocka_unit_test(what_is_injected_can_be_said_in_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
