/* Plans: never worse than a flat ring, valid, and as exact as they say, on networks of all kinds.
 */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/draw.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/plan.h"
#include "tests/unit/rack_links.h"

enum { MOST = 16 };

static const int self[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static struct plan_env env_of(const struct links *links)
{
	return (struct plan_env){ .links = links,
				  .host_of = self,
				  .world = (int)links->hosts,
				  .bytes = 1e6,
				  .compute_s = 0.001,
				  .consensus_period = 8,
				  .search_s = 5,
				  .seed = 1 };
}

static struct plan_list built(const struct plan_env *env)
{
	struct plan_list list;
	struct error err;

	if (plan_build(&list, env, &err) < 0)
		fail_msg("%s", err.text);
	return list;
}

static const struct plan *named(const struct plan_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->plans[i].name, name) == 0)
			return &list->plans[i];
	fail_msg("no plan '%s'", name);
	return NULL;
}

static void assert_near(double value, double expected, double part)
{
	if (!(fabs(value - expected) <= part * fabs(expected)))
		fail_msg("%.17g is not %.17g", value, expected);
}

/* Of a segment or of a pair that there is; or what is said where no link holds anything back. */
static void assert_bottleneck_is_real(const char *text, const struct links *links)
{
	char start[64];

	if (strncmp(text, "latency, ", 9) == 0 || strncmp(text, "none: ", 6) == 0)
		return;
	for (size_t s = 0; s < links->segment_count; s++) {
		snprintf(start, sizeof(start), "%s, ", links->segments[s].name);
		if (strncmp(text, start, strlen(start)) == 0 && strstr(text, "bit/s, crossed by "))
			return;
	}
	for (size_t i = 0; i < links->hosts * links->hosts; i++) {
		snprintf(start, sizeof(start), "%s to %s, ", links->names[i / links->hosts],
			 links->names[i % links->hosts]);
		if (strncmp(text, start, strlen(start)) == 0)
			return;
	}
	fail_msg("'%s' is no part of the network", text);
}

static void assert_reads_back(const struct plan *plan)
{
	struct json *json = plan_json(plan), *again;
	struct buf first = { 0 }, second = { 0 };
	struct error err;
	struct plan back;

	if (plan_from_json(&back, json, &err) < 0)
		fail_msg("%s", err.text);
	again = plan_json(&back);
	json_print(json, 0, &first);
	json_print(again, 0, &second);
	assert_string_equal(first.data, second.data);
	json_free(json);
	json_free(again);
	buf_release(&first);
	buf_release(&second);
	plan_release(&back);
}

static void assert_plan(const struct plan *plan, const struct plan_env *env)
{
	struct error err;

	assert_int_equal(plan->schedule.world, env->world);
	if (schedule_check(&plan->schedule, &err) < 0)
		fail_msg("%s: %s", plan->name, err.text);
	assert_true(isfinite(plan->step_s) && plan->step_s >= plan->compute_s);
	assert_true(plan->step_s <= (plan->compute_s + plan->codec_s + plan->comm_s) * (1 + 1e-9));
	assert_int_equal(plan->compressed, plan->codec_s > 0);
	assert_true(plan->compressed == (strstr(plan->name, ", compressed") != NULL));
	if (plan->kind == PLAN_DS_SYNC) {
		assert_int_equal(plan->exact_after, schedule_exact_after(&plan->schedule));
		assert_in_range(plan->exact_after, 0, env->consensus_period);
		assert_true(plan->contraction_per_s > 0 && isfinite(plan->contraction_per_s));
	} else {
		assert_int_equal(plan->schedule.phases, 1);
		assert_int_equal(plan->exact_after, 1);
	}
	assert_bottleneck_is_real(plan->bottleneck, env->links);
	assert_reads_back(plan);
}

static bool is_dense_ring(const struct plan *plan)
{
	return plan->kind == PLAN_RING && !plan->compressed;
}

static void assert_list(const struct plan_list *list, const struct plan_env *env)
{
	const struct plan *given = named(list, "ring, given order"), *chosen = &list->plans[0];

	for (size_t i = 0; i < list->count; i++) {
		assert_plan(&list->plans[i], env);
		if (i >= 2)
			assert_true(list->plans[i].step_s >= list->plans[i - 1].step_s);
		if (!is_dense_ring(chosen) && is_dense_ring(&list->plans[i]))
			assert_true(chosen->step_s * 1.04 <= list->plans[i].step_s);
		else
			assert_true(chosen->step_s <= list->plans[i].step_s * 1.0501);
	}
	assert_true(chosen->step_s <= given->step_s * (1 + 1e-9));
}

static double pick(const struct draw *draw, uint64_t which, double least, double most)
{
	return least * pow(most / least, (double)draw_below(draw, which, 1001) / 1000);
}

/* An eighth of the bytes, encoded and decoded at so many bytes a second each. */
static struct cost_codec codec_of(double bytes_per_s)
{
	return (struct cost_codec){ .ratio = 0.125,
				    .encode_s = 1 / bytes_per_s,
				    .decode_s = 1 / bytes_per_s };
}

/* Racks of any size, NICs and uplinks of any rate, pairs slower than those, trips of any length. */
static struct links random_links(uint64_t seed)
{
	const struct draw draw = { .seed = seed, .stream = 99 };
	size_t sizes[4] = { 0 }, racks = 1 + draw_below(&draw, 0, 4);
	struct links links;

	for (size_t r = 0; r < racks; r++)
		sizes[r] = 1 + draw_below(&draw, 1 + r, 4);
	links = racks_of(sizes, racks, 1e7, racks > 1 ? pick(&draw, 5, 1e6, 4e7) : 0);
	for (size_t s = 0; s < links.segment_count; s++)
		if (draw_below(&draw, 100 + s, 4) == 0)
			links.segments[s].bytes_per_s *= pick(&draw, 300 + s, 0.1, 1);
	for (size_t i = 0; i < links.hosts * links.hosts; i++) {
		if (draw_below(&draw, 1000 + i, 5) == 0)
			links.pairs[i].bytes_per_s = pick(&draw, 2000 + i, 1e5, 1e7);
		if (draw_below(&draw, 3000 + i, 2) == 0)
			links.pairs[i].rtt_s = pick(&draw, 4000 + i, 1e-5, 1e-1);
	}
	return links;
}

static void plans_of_any_network_are_valid_and_no_worse_than_a_ring(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct links links = random_links(seed);
		struct plan_env env = env_of(&links);
		struct plan_list list;

		env.search_s = seed % 2 ? 0.05 : 0;
		env.bytes = seed % 3 ? 1e6 : 1e4;
		env.momentum = seed % 5 == 0;
		env.bsp_overlap = seed % 7 == 0 ? 0.7 : 0;
		env.compute_s = seed % 4 ? 0.01 : NAN;
		if (seed % 2)
			env.codec = codec_of(pick(&(struct draw){ seed, 98 }, 0, 1e7, 1e10));
		env.codec.chosen = seed % 11 < 5 ? 0.05 : 0;
		list = built(&env);
		assert_list(&list, &env);
		plan_list_release(&list);
		links_release(&links);
	}
}

static void plans_of_many_ranks_per_host_are_valid(void **state)
{
	static const size_t sizes[] = { 2, 2 };
	static const int host_of[] = { 0, 0, 1, 1, 2, 2, 3, 3 }, mixed[] = { 0, 0, 0, 1, 2, 3 };
	struct links links = racks_of(sizes, 2, 1e7, 5e6);
	struct plan_env env = env_of(&links);
	struct plan_list list;

	(void)state;
	env.host_of = host_of;
	env.world = 8;
	list = built(&env);
	assert_list(&list, &env);
	plan_list_release(&list);
	env.host_of = mixed;
	env.world = 6;
	list = built(&env);
	assert_list(&list, &env);
	plan_list_release(&list);
	links_release(&links);
}

/* Four racks of four at r: what the arithmetic of anybody's paper says. */
static void pairs_win_up_to_twice_oversubscribed_and_repeats_of_near_ones_beyond(void **state)
{
	static const size_t sizes[] = { 4, 4, 4, 4 };

	(void)state;
	for (int r = 1; r <= 4; r *= 2) {
		struct links links = racks_of(sizes, 4, 1e7, 4e7 / r);
		struct plan_env env = env_of(&links);
		struct plan_list list;

		env.bytes = 1e8;
		env.compute_s = 0;
		env.search_s = 0;
		list = built(&env);
		assert_list(&list, &env);
		assert_int_equal(list.plans[0].kind, PLAN_DS_SYNC);
		assert_near(named(&list, "ring, given order")->step_s, 18.75, 0.001);
		if (r == 1)
			assert_near(list.plans[0].step_s, 10, 0.001);
		assert_true(list.plans[0].step_s <= 5.001 * (1 + r));
		plan_list_release(&list);
		links_release(&links);
	}
}

/* Two racks of two whose hosts are named in turn: 0-1-2-3 crosses the uplink twice each way. */
static void the_order_of_a_ring_is_mended(void **state)
{
	static const size_t sizes[] = { 2, 2 };
	static const int in_turn[] = { 0, 2, 1, 3 };
	struct links links = racks_of(sizes, 2, 125e6, 25e6);
	struct plan_env env = env_of(&links);
	struct plan_list list;

	(void)state;
	env.host_of = in_turn;
	env.bytes = 16 << 20;
	env.compute_s = 0;
	list = built(&env);
	assert_list(&list, &env);
	assert_near(named(&list, "ring, given order")->step_s,
		    2 * named(&list, "ring, rack-major")->step_s, 0.001);
	assert_non_null(strstr(named(&list, "ring, given order")->bottleneck,
			       "200 Mbit/s, crossed by 2 flows"));
	plan_list_release(&list);
	links_release(&links);
}

/* Only some pairs are fast: eight hosts in a hidden circle. */
static void a_hidden_ring_of_fast_pairs_is_found(void **state)
{
	static const size_t sizes[] = { 8 };
	static const int circle[] = { 0, 5, 3, 6, 1, 7, 2, 4 };
	struct links links = racks_of(sizes, 1, 1e8, 0);
	struct plan_env env = env_of(&links);
	struct plan_list list;

	(void)state;
	for (size_t i = 0; i < 64; i++)
		links.pairs[i].bytes_per_s = 1e6;
	for (int i = 0; i < 8; i++)
		links_pair(&links, circle[i], circle[(i + 1) % 8])->bytes_per_s = 1e7;
	env.compute_s = 0;
	list = built(&env);
	assert_list(&list, &env);
	assert_near(named(&list, "ring, searched order")->step_s, 1.75 * 1e6 / 1e7, 0.01);
	assert_near(named(&list, "ring, given order")->step_s, 1.75, 0.01);
	plan_list_release(&list);
	links_release(&links);
}

static void a_prime_world_comes_close_within_its_period(void **state)
{
	(void)state;
	for (size_t hosts = 3; hosts <= 13; hosts += 2) {
		struct links links = racks_of(&hosts, 1, 1e7, 0);
		struct plan_env env = env_of(&links);
		struct plan_list list;

		env.bytes = 1e8;
		list = built(&env);
		assert_list(&list, &env);
		assert_int_equal(list.plans[0].kind, PLAN_DS_SYNC);
		if (hosts != 9)
			assert_int_equal(list.plans[0].exact_after, 0);
		plan_list_release(&list);
		links_release(&links);
	}
}

static void racks_of_unequal_size_get_groups_of_their_own(void **state)
{
	static const size_t sizes[] = { 5, 2 };
	struct links links = racks_of(sizes, 2, 1e7, 2e6);
	struct plan_env env = env_of(&links);
	const struct plan *plan;
	struct plan_list list;

	(void)state;
	env.bytes = 1e8;
	env.search_s = 0;
	list = built(&env);
	assert_list(&list, &env);
	plan = &list.plans[0];
	assert_int_equal(plan->kind, PLAN_DS_SYNC);
	assert_non_null(strstr(plan->name, "racks and columns"));
	assert_int_equal(plan->schedule.phase[0].groups, 2);
	plan_list_release(&list);
	links_release(&links);
}

static void computing_hides_what_overlaps(void **state)
{
	static const size_t sizes[] = { 4 };
	struct links links = racks_of(sizes, 1, 1e7, 0);
	struct plan_env env = env_of(&links);
	struct plan_list list;

	(void)state;
	env.compute_s = 1;
	env.bsp_overlap = env.ds_overlap = 0.5;
	list = built(&env);
	assert_list(&list, &env);
	assert_int_equal(list.plans[0].kind, PLAN_RING); /* nothing is gained by more */
	assert_near(list.plans[0].step_s, 1, 1e-9);
	assert_near(list.plans[0].comm_s, 0.15, 0.01);
	plan_list_release(&list);
	links_release(&links);
}

static void what_is_one_bucket_hides_behind_nothing(void **state)
{
	(void)state;
	assert_near(plan_bsp_overlap(1e6, 1 << 20), 0, 0);
	assert_near(plan_bsp_overlap(4e6, 1e6), 0.5, 1e-12);
}

static void a_period_of_one_leaves_what_is_exact_in_every_step(void **state)
{
	static const size_t sizes[] = { 8 };
	struct links links = racks_of(sizes, 1, 1e7, 0);
	struct plan_env env = env_of(&links);
	struct plan_list list;

	(void)state;
	env.consensus_period = 1;
	list = built(&env);
	for (size_t i = 0; i < list.count; i++)
		assert_int_equal(list.plans[i].exact_after, 1);
	plan_list_release(&list);
	links_release(&links);
}

static void the_same_seed_makes_the_same_plans(void **state)
{
	struct links links = random_links(5);
	struct plan_env env = env_of(&links);
	struct plan_list first, second;

	(void)state;
	env.search_s = 1e9;
	first = built(&env);
	second = built(&env);
	assert_int_equal(first.count, second.count);
	for (size_t i = 0; i < first.count; i++) {
		assert_string_equal(first.plans[i].name, second.plans[i].name);
		assert_true(first.plans[i].step_s == second.plans[i].step_s);
	}
	plan_list_release(&first);
	plan_list_release(&second);
	links_release(&links);
}

static void assert_advice(const struct plan_env *env, const char *start)
{
	struct plan_list list = built(env);
	char *advice = plan_advice(env, &list.plans[0]);

	if (!start)
		assert_null(advice);
	else if (!advice || strncmp(advice, start, strlen(start)) != 0)
		fail_msg("'%s' does not begin with '%s'", advice ? advice : "", start);
	free(advice);
	plan_list_release(&list);
}

static void one_slow_host_is_said_to_be_past_curing(void **state)
{
	static const size_t sizes[] = { 4, 4 };
	struct links links = racks_of(sizes, 2, 125e5, 25e5);
	struct plan_env env = env_of(&links);
	double compute[8] = { 1, 1, 1, 1, 1, 1, 3, 1 };

	(void)state;
	env.search_s = 0;
	assert_advice(&env, NULL); /* a slow uplink is what groups are for */
	links.segments[7].bytes_per_s = 25e5;
	assert_advice(&env, "h3 receives at most 20 Mbit/s, others 100 Mbit/s");
	links.segments[4].bytes_per_s = 25e5;
	assert_advice(&env, "h2 sends at most 20 Mbit/s, others 100 Mbit/s");
	env.bytes = 100;
	assert_advice(&env, NULL); /* it is slow, and nothing waits for it */
	links.compute_s = compute;
	env.compute_s = NAN;
	assert_advice(&env, "h6 computes 3.0 times as long as others");
	links.compute_s = NULL;
	links_release(&links);
}

static void a_network_that_nobody_measured_is_refused(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct plan_list list;
	struct links links;
	struct plan_env env;
	struct error err;

	(void)state;
	links_init(&links, names, 3);
	env = env_of(&links);
	assert_int_equal(plan_build(&list, &env, &err), -1);
	assert_non_null(strstr(err.text, "`dstrain probe`"));
	links_pair(&links, 0, 1)->bytes_per_s = 1e6; /* the others count as slow as this */
	list = built(&env);
	assert_near(named(&list, "ring, given order")->comm_s, 4e6 / 3 / 1e6, 0.01);
	plan_list_release(&list);
	links_release(&links);
}

static void one_rank_needs_no_network(void **state)
{
	static const size_t sizes[] = { 1 };
	struct links links = racks_of(sizes, 1, 1e7, 0);
	struct plan_env env = env_of(&links);
	struct plan_list list = built(&env);

	(void)state;
	assert_list(&list, &env);
	assert_near(list.plans[0].step_s, 0.001, 1e-9);
	assert_string_equal(list.plans[0].bottleneck, "none: nothing is sent");
	plan_list_release(&list);
	links_release(&links);
}

static void broken_plans_are_refused(void **state)
{
	static const char *const cases[][2] = {
		{ "{}", "a plan of an unknown kind ''" },
		{ "{\"kind\":\"star\"}", "a plan of an unknown kind 'star'" },
		{ "{\"kind\":\"ring\"}", "plan: a schedule without ranks" },
		{ "{\"kind\":\"ds_sync\",\"schedule\":[[[0,0]]]}",
		  "plan: phase 0: rank 0 is there twice" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct plan plan;
		struct error err;
		struct json *json = json_parse(cases[i][0], strlen(cases[i][0]), &err);

		assert_non_null(json);
		assert_int_equal(plan_from_json(&plan, json, &err), -1);
		assert_string_equal(err.text, cases[i][1]);
		json_free(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans_of_any_network_are_valid_and_no_worse_than_a_ring),
		cmocka_unit_test(plans_of_many_ranks_per_host_are_valid),
		cmocka_unit_test(
			pairs_win_up_to_twice_oversubscribed_and_repeats_of_near_ones_beyond),
		cmocka_unit_test(the_order_of_a_ring_is_mended),
		cmocka_unit_test(a_hidden_ring_of_fast_pairs_is_found),
		cmocka_unit_test(a_prime_world_comes_close_within_its_period),
		cmocka_unit_test(racks_of_unequal_size_get_groups_of_their_own),
		cmocka_unit_test(computing_hides_what_overlaps),
		cmocka_unit_test(what_is_one_bucket_hides_behind_nothing),
		cmocka_unit_test(a_period_of_one_leaves_what_is_exact_in_every_step),
		cmocka_unit_test(the_same_seed_makes_the_same_plans),
		cmocka_unit_test(one_slow_host_is_said_to_be_past_curing),
		cmocka_unit_test(a_network_that_nobody_measured_is_refused),
		cmocka_unit_test(one_rank_needs_no_network),
		cmocka_unit_test(broken_plans_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
