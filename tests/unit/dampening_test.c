/* What late updates count. */
#include "tests/unit/unit.h"

#include <math.h>

#include "runtime/sync/dampening.h"

static void an_update_in_time_counts_in_full_and_later_ones_less(void **state)
{
	(void)state;
	for (int kind = 0; dampening_names[kind]; kind++) {
		struct dampening dampening = { .kind = kind, .alpha = 0.2 };
		double before = 1;

		assert_true(dampening_factor(&dampening, 0) == 1);
		for (double late = 0.5; late < 100; late++) {
			double factor = dampening_factor(&dampening, late);

			assert_true(factor > 0);
			assert_true(kind == DAMPENING_CONSTANT ? factor == 1 : factor < before);
			before = factor;
		}
	}
}

static void factors_are_those_of_their_formulas(void **state)
{
	struct dampening exponential = { DAMPENING_EXPONENTIAL, 0.5 };
	struct dampening inverse = { DAMPENING_INVERSE, 0.5 };

	(void)state;
	assert_true(dampening_factor(&exponential, 3) == exp(-1.5));
	assert_true(dampening_factor(&inverse, 3) == 0.25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_update_in_time_counts_in_full_and_later_ones_less),
		cmocka_unit_test(factors_are_those_of_their_formulas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
