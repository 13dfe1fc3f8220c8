/* Strategies whose ranks average with a few others, whenever they are done: what all must keep. */
#include "tests/unit/unit.h"

#include "tests/unit/paced.h"

static void gossip(const char *spec, int world, const char *name, struct paced *run)
{
	struct part part = part_default(&sync_strategies, name);

	run->strategy = PART_AS(&part, struct sync_strategy);
	run->params = part.params;
	if (spec)
		cluster_run(spec, world, paced_body, run);
	else
		cluster_run_every(world, 60, paced_body, run);
	part_release(&part);
}

static void keeps_the_mean(const char *name)
{
	for (int world = 1; world <= 8; world++) {
		struct paced run = { .steps = 60, .every = 7, .delay_s = 0.002 };

		gossip("inproc", world, name, &run);
		assert_in_range(run.meetings, 4, 20);
	}
}

static void is_on_every_transport(const char *name)
{
	struct paced run = { .steps = 40, .every = 11, .delay_s = 0.002 };

	gossip(NULL, 5, name, &run);
}

static void agrees(const char *name)
{
	struct paced run = { .steps = 500, .delay_s = 0.0005 };

	gossip("inproc", 4, name, &run);
	for (int r = 0; r < 4; r++)
		assert_true(run.apart[r] < 1e-5);
}

static void adpsgd_keeps_the_mean_and_without_updates_all_agree(void **state)
{
	(void)state;
	keeps_the_mean("adpsgd");
	is_on_every_transport("adpsgd");
	agrees("adpsgd");
}

static void agp_keeps_mass_and_mean_and_without_updates_all_agree(void **state)
{
	(void)state;
	keeps_the_mean("agp");
	is_on_every_transport("agp");
	agrees("agp");
}

static void prague_keeps_the_mean_and_without_updates_all_agree(void **state)
{
	(void)state;
	keeps_the_mean("prague");
	is_on_every_transport("prague");
	agrees("prague");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adpsgd_keeps_the_mean_and_without_updates_all_agree),
		cmocka_unit_test(agp_keeps_mass_and_mean_and_without_updates_all_agree),
		cmocka_unit_test(prague_keeps_the_mean_and_without_updates_all_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
