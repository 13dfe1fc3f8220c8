/*
 * No strategy itself: the plan says which one. Whoever starts a run makes the plan, and puts what
 * it chose into the recipe before workers see it.
 */
#include "runtime/sync/auto.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/plan.h"
#include "lib/setting.h"
#include "runtime/sync/sync.h"

/* How each kind of plan is followed. */
static const struct way {
	enum plan_kind kind;
	const char *strategy;
	enum coll_algorithm allreduce;
} ways[] = {
	{ PLAN_RING, "bsp", COLL_RING },
	{ PLAN_HALVING_DOUBLING, "bsp", COLL_HALVING_DOUBLING },
	{ PLAN_TREE, "bsp", COLL_TREE },
	{ PLAN_HIERARCHICAL, "bsp", COLL_HIERARCHICAL },
	{ PLAN_DS_SYNC, "ds_sync", COLL_AUTO },
};

static const struct way *way_of(const struct plan *plan)
{
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (ways[i].kind == plan->kind)
			return &ways[i];
	return NULL;
}

static const struct sync_strategy *strategy_of(const struct way *way)
{
	struct part part = { .entry = way ? registry_find(&sync_strategies, way->strategy) : NULL };

	return PART_AS(&part, struct sync_strategy);
}

static bool chooses(const struct sync_wish *wish)
{
	return PART_AS(wish->strategy, struct sync_strategy)->chosen_by_plan;
}

/* What cannot be added on the way takes one way, but for parts. */
static enum coll_algorithm allreduce_of(const struct sync_wish *wish, const struct plan *plan)
{
	enum coll_algorithm allreduce = (enum coll_algorithm)wish->params->allreduce;

	if (allreduce == COLL_AUTO || (plan->compressed && allreduce != COLL_HIERARCHICAL))
		return COLL_RING;
	return allreduce;
}

static bool follows(const struct sync_wish *wish, const struct plan *plan)
{
	const struct sync_strategy *named = PART_AS(wish->strategy, struct sync_strategy);
	const struct sync_params *params = wish->params;
	const struct way *way = way_of(plan);
	const struct sync_strategy *needed = strategy_of(way);

	if (!needed)
		return false;
	if (chooses(wish))
		return true;
	/* A strategy that asks for plans of its own takes no others, and nobody else takes those.
	 */
	if (named->wants_plan || needed->wants_plan)
		return named == needed;
	if (params->order == SYNC_ORDER_GIVEN && plan->kind != PLAN_HIERARCHICAL &&
	    !plan_is_in_given_order(plan))
		return false;
	return way->allreduce == allreduce_of(wish, plan);
}

const struct plan *sync_choose(const struct plan_list *list, const struct sync_wish *wish)
{
	const struct plan *found = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct plan *plan = &list->plans[i];

		if (!follows(wish, plan))
			continue;
		if (chooses(wish) || plan->compressed == wish->compressed)
			return plan;
		if (!found && !plan->compressed)
			found = plan;
	}
	return found;
}

static bool knows(const struct entry *entry, const char *key)
{
	for (const struct opt *row = entry->options; row && row->key; row++)
		if (strcmp(row->key, key) == 0)
			return true;
	return false;
}

/* The options that stand there are those of a strategy that the plan chooses. */
static void drop_unknown(struct settings *recipe, const struct entry *chosen)
{
	const struct setting *named = settings_find(recipe, "sync.strategy");
	const struct entry *before = registry_find(&sync_strategies, named->values[0]);

	for (const struct opt *row = before->options; row && row->key; row++) {
		char *key = xasprintf("sync.%s", row->key);

		if (!knows(chosen, row->key))
			settings_remove(recipe, key);
		free(key);
	}
}

void sync_settle(struct settings *recipe, const struct plan *plan, bool keeps)
{
	static const struct place place = { .file = "plan" };
	const struct way *way = plan ? way_of(plan) : &ways[0];

	drop_unknown(recipe, &strategy_of(way)->entry);
	settings_set(recipe, "sync.strategy", way->strategy, place);
	if (!plan)
		return;
	settings_set(recipe, "sync.allreduce", coll_algorithm_names[way->allreduce], place);
	settings_set(recipe, "sync.order", "planned", place);
	if (!keeps) {
		settings_remove(recipe, "compress");
		settings_set(recipe, "compress.scheme", "none", place);
	}
}

/* Of those that may be chosen, with the options that they would have. */
static void foresee(const void *params, struct plan_env *env)
{
	(void)params;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct part part = part_default(&sync_strategies, ways[i].strategy);
		const struct sync_strategy *strategy = PART_AS(&part, struct sync_strategy);

		if (strategy->foresee)
			strategy->foresee(part.params, env);
		part_release(&part);
	}
}

static int init(void *state, const void *params, const struct sync_env *env, struct error *err)
{
	(void)state;
	(void)params;
	(void)env;
	return error_set(err,
			 "sync.strategy: a plan has to choose one, and none was made; name one "
			 "of `dstrain list sync`");
}

const struct sync_strategy sync_auto = {
	.entry = { .name = "auto",
		   .summary = "whichever of them the plan predicts to be fastest on these links" },
	.chosen_by_plan = true,
	.foresee = foresee,
	.init = init,
};
