/* What the system allows. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "tests/unit/unit.h"

#include <sched.h>

#include "lib/limit.h"
#include "runtime/device/team.h"

static void processors_are_those_that_the_process_may_use(void **state)
{
	cpu_set_t before, one;
	size_t all = limit_processors();
	int first = 0;

	(void)state;
	assert_true(all >= 1);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_true(all <= (size_t)CPU_COUNT(&before));
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(limit_processors(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(limit_processors(), all);
}

static void ranks_share_processors_but_get_what_they_ask_for(void **state)
{
	size_t all = limit_processors();

	(void)state;
	assert_int_equal(team_size(0, 1), all);
	assert_int_equal(team_size(0, all), 1);
	assert_int_equal(team_size(0, 10 * all), 1);
	assert_int_equal(team_size(3, 10 * all), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processors_are_those_that_the_process_may_use),
		cmocka_unit_test(ranks_share_processors_but_get_what_they_ask_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
