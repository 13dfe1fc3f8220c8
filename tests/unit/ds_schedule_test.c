/* Which schedule the options of ds_sync give: with a plan, with a radix, with both. */
#include "tests/unit/unit.h"

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "runtime/coll.h"
#include "runtime/sync/ds_schedule.h"
#include "runtime/sync/sync.h"

enum { WORLD = 4 };

static const int given_order[] = { 0, 1, 2, 3 }, planned_order[] = { 0, 1, 3, 2 };
static size_t pairs[] = { 2, 2 };
static const int pairs_of_plan[] = { 2, 2 };

static struct group world_of(void)
{
	return (struct group){ .ranks = given_order, .count = WORLD };
}

/* Whom rank 0 meets in a step. */
static int partner(struct ds_schedule *schedule, uint64_t step)
{
	const int *ranks;
	int count, index = partition_group(ds_schedule_at(schedule, step), 0, &ranks, &count);

	assert_int_equal(count, 2);
	return ranks[1 - index];
}

static void check(const struct ds_schedule_params *params, bool planned, int first, int second)
{
	struct group world = world_of();
	struct plan plan = { .kind = PLAN_DS_SYNC,
			     .schedule = schedule_radix(WORLD, planned_order, pairs_of_plan, 2) };
	struct sync_env env = { .world = &world, .plan = &plan };
	struct ds_schedule schedule = { 0 };
	struct error err;

	assert_int_equal(ds_schedule_init(&schedule, params, &env, &err), 0);
	assert_int_equal(schedule.planned, planned);
	assert_int_equal(ds_schedule_wants_plan(params), planned);
	assert_int_equal(partner(&schedule, 0), first);
	assert_int_equal(partner(&schedule, 1), second);
	ds_schedule_release(&schedule);
	schedule_release(&plan.schedule);
}

static void a_plan_says_who_meets_whom(void **state)
{
	(void)state;
	check(&(struct ds_schedule_params){ .kind = DS_PLANNED, .group = 2 }, true, 1, 3);
}

static void a_radix_that_is_given_wins_over_a_plan(void **state)
{
	struct ds_schedule_params params = { .kind = DS_PLANNED,
					     .radix = { .values = pairs, .count = 2 },
					     .group = 2 };

	(void)state;
	check(&params, false, 1, 2);
	params.kind = DS_RADIX;
	check(&params, false, 1, 2);
}

static void check_refused(const struct ds_schedule_params *params, const char *why)
{
	struct group world = world_of();
	struct sync_env env = { .world = &world };
	struct ds_schedule schedule = { 0 };
	struct error err;

	assert_int_equal(ds_schedule_init(&schedule, params, &env, &err), -1);
	assert_string_equal(err.text, why);
	ds_schedule_release(&schedule);
}

static void a_radix_for_groups_that_have_none_is_refused(void **state)
{
	struct ds_schedule_params params = { .kind = DS_RANDOM,
					     .radix = { .values = pairs, .count = 2 },
					     .group = 2 };

	(void)state;
	check_refused(&params, "sync.radix: groups of schedule 'random' have none; leave it out, "
			       "or use sync.schedule: radix");
	params.kind = DS_ROTATING;
	check_refused(&params, "sync.radix: groups of schedule 'rotating' have none; leave it "
			       "out, or use sync.schedule: radix");
}

static void a_radix_whose_product_is_not_the_number_of_ranks_is_refused(void **state)
{
	const struct opt_counts radices[] = {
		{ .values = (size_t[]){ 2, 3 }, .count = 2 },
		{ .values = (size_t[]){ 2 }, .count = 1 },
		{ .values = (size_t[]){ 65535, 65535, 65535, 65535 }, .count = 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(radices); i++) {
		struct ds_schedule_params params = { .kind = DS_RADIX,
						     .radix = radices[i],
						     .group = 2 };

		check_refused(&params, "sync.radix: its product has to be the number of ranks, "
				       "which is 4");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_says_who_meets_whom),
		cmocka_unit_test(a_radix_that_is_given_wins_over_a_plan),
		cmocka_unit_test(a_radix_for_groups_that_have_none_is_refused),
		cmocka_unit_test(a_radix_whose_product_is_not_the_number_of_ranks_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
