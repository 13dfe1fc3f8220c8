/* Numbers are sorted, and the middle of them is found. */
#include "tests/unit/unit.h"

#include <math.h>

#include "lib/numbers.h"

static void the_median_is_in_the_middle(void **state)
{
	double odd[] = { 3, -1, INFINITY }, even[] = { 4, 1, -8, 2 }, one[] = { 7 };

	(void)state;
	assert_true(numbers_median(odd, 3) == 3);
	assert_true(numbers_median(even, 4) == 1.5);
	assert_true(numbers_median(one, 1) == 7);
	assert_true(isnan(numbers_median(NULL, 0)));
}

static void numbers_rise_once_they_are_sorted(void **state)
{
	double x[] = { 2, -0.5, 1e300, 2, -INFINITY };

	(void)state;
	numbers_sort(x, 5);
	assert_true(x[0] == -INFINITY && x[1] == -0.5 && x[2] == 2 && x[3] == 2 && x[4] == 1e300);
	numbers_sort(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_median_is_in_the_middle),
		cmocka_unit_test(numbers_rise_once_they_are_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
