/* Whether links have changed, from what averages take: the times come from the model of the links
 * as they really are. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/cost.h"
#include "lib/error.h"
#include "lib/flow.h"
#include "lib/groups.h"
#include "lib/links.h"
#include "lib/plan.h"
#include "runtime/sync/ds_watch.h"
#include "tests/unit/two_racks.h"

enum { EVERY = 24 }; /* steps of a window */

/* A run: links as measured, links as they are, and the groups in use. */
struct scene {
	struct links measured, real;
	struct schedule schedule;
	struct ds_watch *watch;
	uint64_t window;
	float seconds[HOSTS * EVERY];
	struct buf reason; /* of the last change */
	int changes;	   /* of the groups */
};

static void scene_begin(struct scene *scene)
{
	struct plan_env env = { .host_of = host_of,
				.world = HOSTS,
				.bytes = BYTES,
				.compute_s = NAN,
				.consensus_period = 8 };
	struct ds_watch_env watch = { .host_of = host_of,
				      .world = HOSTS,
				      .bytes = BYTES,
				      .compute_s = NAN,
				      .consensus_period = 8,
				      .most_phases = 64 };
	struct plan_list list;
	struct error err;

	*scene = (struct scene){ 0 };
	racks_build(&scene->measured);
	links_copy(&scene->real, &scene->measured);
	env.links = watch.links = &scene->measured;
	assert_int_equal(plan_build(&list, &env, &err), 0);
	assert_int_equal(list.plans[0].kind, PLAN_DS_SYNC);
	schedule_copy(&scene->schedule, &list.plans[0].schedule);
	plan_list_release(&list);
	scene->watch = ds_watch_new(&watch);
}

static void scene_end(struct scene *scene)
{
	ds_watch_free(scene->watch);
	schedule_release(&scene->schedule);
	links_release(&scene->measured);
	links_release(&scene->real);
	buf_release(&scene->reason);
}

static void take_step(struct scene *scene, struct flow_net *net, size_t i)
{
	float seconds[HOSTS];

	racks_seconds(net, &scene->schedule, scene->window * EVERY + i, seconds);
	for (size_t rank = 0; rank < HOSTS; rank++)
		scene->seconds[rank * EVERY + i] = seconds[rank];
}

/* Some windows; other groups are taken at once. */
static void pass(struct scene *scene, int windows)
{
	struct flow_net *net = flow_net_new(&scene->real);

	for (; windows > 0; windows--, scene->window++) {
		struct ds_window window = { .first = scene->window * EVERY,
					    .steps = EVERY,
					    .seconds = scene->seconds };
		struct schedule better;
		struct buf reason = { 0 };

		for (size_t i = 0; i < EVERY; i++)
			take_step(scene, net, i);
		if (ds_watch_take(scene->watch, &scene->schedule, &window, &better, &reason)) {
			schedule_release(&scene->schedule);
			scene->schedule = better;
			scene->changes++;
		}
		if (reason.length) {
			buf_release(&scene->reason);
			scene->reason = reason;
		}
	}
	flow_net_free(net);
}

/* Mean seconds of an average on the real links. */
static double average_s(const struct scene *scene)
{
	struct cost_env env = { .links = &scene->real,
				.net = flow_net_new(&scene->real),
				.host_of = host_of,
				.world = HOSTS,
				.bytes = BYTES };
	double sum = 0;

	for (int p = 0; p < scene->schedule.phases; p++)
		sum += cost_ring(&env, &scene->schedule.phase[p]).seconds;
	flow_net_free(env.net);
	return sum / scene->schedule.phases;
}

static void nothing_changes_while_links_do_not(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene);
	pass(&scene, 100);
	assert_int_equal(scene.changes, 0);
	assert_string_equal(buf_text(&scene.reason), "");
	scene_end(&scene);
}

static void congested_uplinks_are_found_and_avoided_and_used_again_when_they_are_free(void **state)
{
	struct scene scene;
	double before, usual;

	(void)state;
	scene_begin(&scene);
	usual = average_s(&scene);
	pass(&scene, 10);
	racks_congest(&scene.real, 0.15);
	before = average_s(&scene);
	pass(&scene, 2);
	assert_int_equal(scene.changes, 0); /* not yet: it might be over soon */
	pass(&scene, 6);
	assert_int_equal(scene.changes, 1);
	assert_non_null(strstr(buf_text(&scene.reason), "rack1.up carries"));
	assert_non_null(strstr(buf_text(&scene.reason), "rack2.down carries"));
	assert_null(strstr(buf_text(&scene.reason), "h1.up carries"));
	assert_true(average_s(&scene) < 0.95 * before);
	pass(&scene, 40);
	assert_int_equal(scene.changes, 1);
	racks_congest(&scene.real, 1);
	pass(&scene, 20);
	assert_int_equal(scene.changes, 2);
	assert_true(average_s(&scene) < 1.05 * usual);
	pass(&scene, 40);
	assert_int_equal(scene.changes, 2);
	scene_end(&scene);
}

static void links_that_had_changed_before_the_run_are_found(void **state)
{
	struct scene scene;
	double before;

	(void)state;
	scene_begin(&scene);
	racks_congest(&scene.real, 0.15);
	before = average_s(&scene);
	pass(&scene, 8);
	assert_int_equal(scene.changes, 1);
	assert_true(average_s(&scene) < 0.95 * before);
	scene_end(&scene);
}

static void a_slow_host_is_named_but_no_groups_cure_it(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene);
	pass(&scene, 10);
	racks_find(&scene.real, "h3.up")->bytes_per_s = NIC / 4;
	pass(&scene, 40);
	assert_int_equal(scene.changes, 0);
	assert_non_null(strstr(buf_text(&scene.reason), "h3.up carries 2"));
	assert_non_null(strstr(buf_text(&scene.reason), "no other groups are faster"));
	scene_end(&scene);
}

/* A flow of somebody else that is on another host in every window. */
static void contention_that_moves_on_soon_changes_nothing(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene);
	pass(&scene, 10);
	for (int i = 0; i < 60; i++) {
		char name[16];

		snprintf(name, sizeof(name), "h%d.down", i % HOSTS + 1);
		racks_find(&scene.real, name)->bytes_per_s = NIC / 4;
		pass(&scene, 1);
		racks_find(&scene.real, name)->bytes_per_s = NIC;
	}
	assert_int_equal(scene.changes, 0);
	scene_end(&scene);
}

/* However often links change, groups change less and less often. */
static void groups_stay_for_a_while(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene);
	for (int i = 0; i < 20; i++) {
		racks_congest(&scene.real, i % 2 ? 0.1 : 1);
		pass(&scene, 4);
	}
	assert_in_range(scene.changes, 1, 3);
	scene_end(&scene);
}

/* Processors that are busy elsewhere slow all averages down alike. */
static void what_slows_everybody_down_is_no_link(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene);
	pass(&scene, 10);
	for (size_t i = 0; i < scene.real.segment_count; i++)
		scene.real.segments[i].bytes_per_s /= 5;
	for (size_t i = 0; i < HOSTS * HOSTS; i++)
		scene.real.pairs[i].bytes_per_s /= 5;
	pass(&scene, 30);
	assert_int_equal(scene.changes, 0);
	assert_string_equal(buf_text(&scene.reason), "");
	scene_end(&scene);
}

static void what_a_checkpoint_knew_of_the_links_is_taken_for_usual(void **state)
{
	struct scene scene;
	float *parts;

	(void)state;
	scene_begin(&scene);
	parts = ds_watch_parts(scene.watch);
	for (size_t i = 0; i < scene.measured.segment_count; i++)
		if (strncmp(scene.measured.segments[i].name, "rack", 4) == 0)
			parts[i] = 0.15f;
	racks_congest(&scene.real, 0.15);
	pass(&scene, 20);
	assert_int_equal(scene.changes, 0);
	racks_congest(&scene.real, 1);
	pass(&scene, 20);
	assert_non_null(strstr(buf_text(&scene.reason), "not 15 %"));
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_changes_while_links_do_not),
		cmocka_unit_test(
			congested_uplinks_are_found_and_avoided_and_used_again_when_they_are_free),
		cmocka_unit_test(links_that_had_changed_before_the_run_are_found),
		cmocka_unit_test(a_slow_host_is_named_but_no_groups_cure_it),
		cmocka_unit_test(contention_that_moves_on_soon_changes_nothing),
		cmocka_unit_test(groups_stay_for_a_while),
		cmocka_unit_test(what_slows_everybody_down_is_no_link),
		cmocka_unit_test(what_a_checkpoint_knew_of_the_links_is_taken_for_usual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
