/* What plans choose, and which plans a recipe can follow. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "lib/recipe.h"
#include "runtime/job.h"
#include "runtime/sync/auto.h"

enum { WORLD = 4 };

static const int planned[WORLD] = { 0, 2, 1, 3 };

/* Plans in the order of their predicted time; only what a choice depends on. */
static struct plan plan_of(enum plan_kind kind, const int *order)
{
	return (struct plan){ .kind = kind, .schedule = schedule_flat(WORLD, order) };
}

struct recipe {
	struct settings given, resolved;
	struct problems problems;
	struct job job;
};

static void read_recipe(struct recipe *r, const char *sync)
{
	char *text = xasprintf("data: {format: synthetic, samples: 100, features: 4, classes: 2}\n"
			       "model: {preset: softmax}\nsync: %s\n",
			       sync);
	struct error err;

	*r = (struct recipe){ 0 };
	assert_int_equal(recipe_parse(&r->given, text, strlen(text), "r", &r->problems, &err), 0);
	job_expand(&r->given);
	job_read(&r->job, &r->given, &r->resolved, &r->problems);
	assert_string_equal(buf_text(&r->problems.text), "");
	free(text);
}

static void forget(struct recipe *r)
{
	job_release(&r->job);
	settings_release(&r->given);
	settings_release(&r->resolved);
	problems_release(&r->problems);
}

static const struct plan *choice(const char *sync, const struct plan_list *list)
{
	const struct plan *chosen;
	struct recipe r;

	read_recipe(&r, sync);
	chosen = job_choose_plan(&r.job, list);
	forget(&r);
	return chosen;
}

static void settle(struct recipe *r, const struct plan *plan, bool keeps)
{
	sync_settle(&r->given, plan, keeps);
	job_release(&r->job);
	settings_release(&r->resolved);
	job_read(&r->job, &r->given, &r->resolved, &r->problems);
	assert_string_equal(buf_text(&r->problems.text), "");
}

static void a_recipe_follows_the_first_plan_of_its_kind(void **state)
{
	struct plan plans[] = { plan_of(PLAN_TREE, planned), plan_of(PLAN_RING, planned),
				plan_of(PLAN_HALVING_DOUBLING, planned), plan_of(PLAN_RING, NULL) };
	struct plan_list list = { plans, ARRAY_SIZE(plans) };

	(void)state;
	assert_ptr_equal(choice("auto", &list), &plans[0]);
	assert_ptr_equal(choice("{order: planned}", &list), &plans[1]);
	assert_ptr_equal(choice("{order: planned, allreduce: ring}", &list), &plans[1]);
	assert_ptr_equal(choice("{order: planned, allreduce: tree}", &list), &plans[0]);
	assert_ptr_equal(choice("{order: planned, allreduce: halving_doubling}", &list), &plans[2]);
	for (size_t i = 0; i < list.count; i++)
		schedule_release(&plans[i].schedule);
}

static void a_given_order_follows_no_other(void **state)
{
	struct plan plans[] = { plan_of(PLAN_RING, planned), plan_of(PLAN_RING, NULL) };
	struct plan_list list = { plans, ARRAY_SIZE(plans) };

	(void)state;
	assert_ptr_equal(choice("bsp", &list), &plans[1]);
	assert_ptr_equal(choice("{strategy: local_sgd, order: planned}", &list), &plans[0]);
	assert_null(choice("{allreduce: tree}", &list));
	assert_null(choice("{allreduce: flat, order: planned}", &list));
	plans[0].kind = PLAN_HIERARCHICAL; /* whose groups are what matters */
	assert_ptr_equal(choice("{allreduce: hierarchical}", &list), &plans[0]);
	for (size_t i = 0; i < list.count; i++)
		schedule_release(&plans[i].schedule);
}

static void groups_are_for_the_strategy_that_has_them(void **state)
{
	struct plan plans[] = { plan_of(PLAN_DS_SYNC, NULL), plan_of(PLAN_RING, NULL) };
	struct plan_list list = { plans, ARRAY_SIZE(plans) };

	(void)state;
	assert_ptr_equal(choice("ds_sync", &list), &plans[0]);
	assert_ptr_equal(choice("bsp", &list), &plans[1]);
	assert_ptr_equal(choice("local_sgd", &list), &plans[1]);
	assert_ptr_equal(choice("auto", &list), &plans[0]);
	assert_ptr_equal(choice("auto\ncompress: fp16", &list), &plans[0]);
	list.count = 1;
	assert_null(choice("bsp", &list));
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++)
		schedule_release(&plans[i].schedule);
}

/* A named strategy has what travels decided already; one that the plan chooses has not. */
static void what_is_to_travel_is_the_recipes_unless_the_plan_chooses(void **state)
{
	struct plan plans[] = { plan_of(PLAN_HIERARCHICAL, planned), plan_of(PLAN_RING, planned),
				plan_of(PLAN_RING, planned), plan_of(PLAN_HIERARCHICAL, planned) };
	struct plan_list list = { plans, ARRAY_SIZE(plans) };

	(void)state;
	plans[0].compressed = plans[2].compressed = true;
	assert_ptr_equal(choice("auto", &list), &plans[0]);
	assert_ptr_equal(choice("auto\ncompress: qsgd", &list), &plans[0]);
	assert_ptr_equal(choice("{order: planned}", &list), &plans[1]);
	assert_ptr_equal(choice("{order: planned}\ncompress: qsgd", &list), &plans[2]);
	assert_ptr_equal(choice("{order: planned, allreduce: tree}\ncompress: qsgd", &list),
			 &plans[2]); /* which is for what adds up */
	assert_ptr_equal(choice("{allreduce: hierarchical}", &list), &plans[3]);
	assert_ptr_equal(choice("{allreduce: hierarchical}\ncompress: qsgd", &list), &plans[0]);
	plans[2].compressed = false; /* nobody predicted any: better than none */
	assert_ptr_equal(choice("{order: planned}\ncompress: qsgd", &list), &plans[1]);
	for (size_t i = 0; i < list.count; i++)
		schedule_release(&plans[i].schedule);
}

static void what_the_plan_does_not_keep_is_not_compressed(void **state)
{
	struct plan plan = plan_of(PLAN_RING, planned);
	struct recipe r;

	(void)state;
	for (int keeps = 0; keeps < 2; keeps++) {
		read_recipe(&r, "auto\ncompress: {scheme: qsgd, bits: 6, feedback: classic, "
				"rules: [{match: \"*.bias\", scheme: fp16}]}");
		settle(&r, &plan, keeps);
		assert_string_equal(r.job.compressor.entry->name, keeps ? "qsgd" : "none");
		assert_int_equal(job_compresses(&r.job), keeps);
		forget(&r);
	}
	schedule_release(&plan.schedule);
}

/* Each choice is a recipe that follows the plan which made it. */
static void what_was_chosen_follows_the_plan(void **state)
{
	static const enum plan_kind kinds[] = { PLAN_RING, PLAN_HALVING_DOUBLING, PLAN_TREE,
						PLAN_HIERARCHICAL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct plan plan = plan_of(kinds[i], planned);
		struct plan_list list = { &plan, 1 };
		struct recipe r;

		read_recipe(&r, "auto");
		assert_true(job_wants_plan(&r.job));
		settle(&r, &plan, true);
		assert_false(PART_AS(&r.job.sync, struct sync_strategy)->chosen_by_plan);
		assert_int_equal(r.job.sync_params.order, SYNC_ORDER_PLANNED);
		assert_ptr_equal(job_choose_plan(&r.job, &list), &plan);
		forget(&r);
		schedule_release(&plan.schedule);
	}
}

static void without_a_plan_all_ranks_sum_their_gradients(void **state)
{
	struct recipe r;

	(void)state;
	read_recipe(&r, "{strategy: auto, bucket: 4KiB, allreduce: tree}");
	settle(&r, NULL, true);
	assert_string_equal(r.job.sync.entry->name, "bsp");
	assert_int_equal(r.job.sync_params.bucket_bytes, 4096);
	assert_int_equal(r.job.sync_params.allreduce, COLL_TREE);
	assert_false(job_wants_plan(&r.job));
	forget(&r);
}

static void what_a_plan_chooses_never_runs_itself(void **state)
{
	size_t count = 0;

	(void)state;
	for (size_t i = 0; sync_strategies.entries[i]; i++) {
		const char *name = sync_strategies.entries[i]->name;
		struct part part = part_default(&sync_strategies, name);
		const struct sync_strategy *strategy = PART_AS(&part, struct sync_strategy);
		struct sync_env env = { .count = 1 };
		struct error err;

		if (strategy->chosen_by_plan) {
			count++;
			assert_int_equal(strategy->init(NULL, part.params, &env, &err), -1);
			assert_non_null(strstr(err.text, "a plan has to choose"));
		}
		part_release(&part);
	}
	assert_int_equal(count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recipe_follows_the_first_plan_of_its_kind),
		cmocka_unit_test(a_given_order_follows_no_other),
		cmocka_unit_test(groups_are_for_the_strategy_that_has_them),
		cmocka_unit_test(what_is_to_travel_is_the_recipes_unless_the_plan_chooses),
		cmocka_unit_test(what_the_plan_does_not_keep_is_not_compressed),
		cmocka_unit_test(what_was_chosen_follows_the_plan),
		cmocka_unit_test(without_a_plan_all_ranks_sum_their_gradients),
		cmocka_unit_test(what_a_plan_chooses_never_runs_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
