/* A plan as a value: its name, JSON there and back. */
#include "lib/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/json.h"
#include "lib/memory.h"

static const char *const kind_names[] = {
	[PLAN_RING] = "ring",	    [PLAN_HALVING_DOUBLING] = "halving_doubling",
	[PLAN_TREE] = "tree",	    [PLAN_HIERARCHICAL] = "hierarchical",
	[PLAN_DS_SYNC] = "ds_sync",
};

const char *plan_kind_name(enum plan_kind kind)
{
	return kind_names[kind];
}

double plan_bsp_overlap(double bytes, double bucket_bytes)
{
	return bucket_bytes < bytes ? (1 - bucket_bytes / bytes) * 2 / 3 : 0;
}

struct json *plan_json(const struct plan *plan)
{
	struct json *json = json_object_new();

	json_add_text(json, "kind", plan_kind_name(plan->kind));
	json_add_bool(json, "compressed", plan->compressed);
	json_add_text(json, "name", plan->name);
	json_add_real(json, "step_s", plan->step_s);
	json_add_real(json, "compute_s", plan->compute_s);
	json_add_real(json, "comm_s", plan->comm_s);
	json_add_real(json, "codec_s", plan->codec_s);
	json_add_count(json, "exact_after", (uint64_t)plan->exact_after);
	json_add_real(json, "contraction_per_s", plan->contraction_per_s);
	json_add_real(json, "bytes_sent", plan->bytes_sent);
	json_add_text(json, "bottleneck", plan->bottleneck);
	json_add(json, "schedule", schedule_json(&plan->schedule));
	return json;
}

static int kind_from_json(enum plan_kind *out, const struct json *json, struct error *err)
{
	const char *name = json_get_text(json, "kind");

	for (size_t i = 0; name && i < ARRAY_SIZE(kind_names); i++)
		if (strcmp(name, kind_names[i]) == 0) {
			*out = (enum plan_kind)i;
			return 0;
		}
	return error_set(err, "a plan of an unknown kind '%s'", name ? name : "");
}

static char *copied_text(const struct json *json, const char *key)
{
	const char *text = json_get_text(json, key);

	return xstrdup(text ? text : "");
}

int plan_from_json(struct plan *out, const struct json *json, struct error *err)
{
	struct plan plan = { .step_s = json_get_real(json, "step_s", NAN),
			     .compute_s = json_get_real(json, "compute_s", NAN),
			     .comm_s = json_get_real(json, "comm_s", NAN),
			     .codec_s = json_get_real(json, "codec_s", 0),
			     .compressed = json_get_bool(json, "compressed", false),
			     .contraction_per_s =
				     json_get_real(json, "contraction_per_s", INFINITY),
			     .bytes_sent = json_get_real(json, "bytes_sent", NAN) };

	if (kind_from_json(&plan.kind, json, err) < 0)
		return -1;
	if (schedule_from_json(&plan.schedule, json_get(json, "schedule"), err) < 0)
		return error_prefix(err, "plan");
	plan.exact_after = schedule_exact_after(&plan.schedule);
	if (plan.kind == PLAN_HIERARCHICAL)
		plan.exact_after = 1;
	plan.name = copied_text(json, "name");
	plan.bottleneck = copied_text(json, "bottleneck");
	*out = plan;
	return 0;
}

bool plan_is_in_given_order(const struct plan *plan)
{
	const struct partition *all = &plan->schedule.phase[0];

	for (int i = 0; i < plan->schedule.world; i++)
		if (all->ranks[i] != i)
			return false;
	return true;
}

void plan_copy(struct plan *to, const struct plan *from)
{
	*to = *from;
	to->name = xstrdup(from->name);
	to->bottleneck = xstrdup(from->bottleneck);
	schedule_copy(&to->schedule, &from->schedule);
}

void plan_release(struct plan *plan)
{
	free(plan->name);
	free(plan->bottleneck);
	schedule_release(&plan->schedule);
	*plan = (struct plan){ 0 };
}

void plan_list_release(struct plan_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		plan_release(&list->plans[i]);
	free(list->plans);
	*list = (struct plan_list){ 0 };
}
