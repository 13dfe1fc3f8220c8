/* Before workers train: what the links carry, and who is to synchronise with whom. */
#include "cmd/train_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/output.h"
#include "cmd/train.h"
#include "cmd/train_links.h"
#include "cmd/train_probe.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/memory.h"
#include "runtime/calibrate.h"
#include "runtime/sync/auto.h"

static const char links_name[] = "links.json", plan_name[] = "plan.json";
static const char no_plan[] = "none"; /* the kind in plan.json, if none fits the recipe */

enum { CANDIDATES_KEPT = 20, SEARCH_S = 2 };

static bool is_chosen_by_plan(const struct job *job)
{
	return PART_AS(&job->sync, struct sync_strategy)->chosen_by_plan;
}

int train_plan_prepare(struct train *train, struct error *err)
{
	train->plan.source = train_links_source(train);
	return train->plan.source == TRAIN_LINKS_FILE ? train_links_read(train, err) : 0;
}

/* The most ranks that share this machine; of others nobody knows the processors. */
static size_t ranks_here(const struct train *train)
{
	size_t most = 1;

	if (train->load->job.params.emulate)
		return hosts_slots(&train->hosts);
	for (size_t i = 0; i < train->hosts.count; i++) {
		const struct host *host = &train->hosts.entries[i];

		if (host->local && host->slots > most)
			most = host->slots;
	}
	return most;
}

/* What the job itself tells: of the parameters, as every rank holds them, and of its compressor. */
static int ask_job(struct train *train, struct plan_env *env)
{
	const struct job *job = &train->load->job;
	struct model *model;
	struct error err;

	if (job_load_build(train->load, hosts_slots(&train->hosts), &model, &err) < 0)
		return output_failure(EXIT_USAGE, &err);
	if (!model)
		return EXIT_USAGE; /* said with the recipe's other problems */
	job_foresee(job, (double)model_count(model) * sizeof(float), env);
	calibrate_codec(&env->codec, job, model, ranks_here(train));
	model_free(model);
	return 0;
}

/* Of the candidates what a reader wants to compare; the choice stands there in full. */
static struct json *record_of(const struct plan_list *list, const struct plan *chosen,
			      const char *why)
{
	struct json *record = plan_json(chosen), *others = json_array_new();

	for (size_t i = 0; i < list->count && i < CANDIDATES_KEPT; i++) {
		const struct plan *plan = &list->plans[i];
		struct json *json = json_object_new();

		json_add_text(json, "name", plan->name);
		json_add_real(json, "step_s", plan->step_s);
		json_add_text(json, "bottleneck", plan->bottleneck);
		json_add(others, NULL, json);
	}
	json_add_text(record, "why", why);
	json_add(record, "candidates", others);
	return record;
}

/* The best of another kind. NULL: none. */
static const struct plan *rival_of(const struct plan_list *list, const struct plan *chosen)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->plans[i].kind != chosen->kind)
			return &list->plans[i];
	return NULL;
}

static char *reason(const struct plan_list *list, const struct plan *chosen)
{
	const struct plan *rival = rival_of(list, chosen);
	struct buf text = { 0 };

	buf_addf(&text, "%s, predicted %.3g s per step, held back by %s", chosen->name,
		 chosen->step_s, chosen->bottleneck);
	if (rival)
		buf_addf(&text, "; %s: %.3g s", rival->name, rival->step_s);
	return buf_take(&text);
}

/* No plan: then ranks stay as they are numbered, and a strategy that a plan chooses is settled. */
static int go_without(struct train *train, const char *why)
{
	struct job *job = &train->load->job;

	if (!job_wants_plan(job))
		return EXIT_DONE;
	if (is_chosen_by_plan(job)) {
		job_load_settle(train->load, NULL, true);
		train->plan.why =
			xasprintf("none, as %s; sync.strategy is %s", why, job->sync.entry->name);
	} else {
		train->plan.why = xasprintf("none, as %s", why);
	}
	return EXIT_DONE;
}

/* The candidates have none for what the recipe says: if it asks for one, that is an error. */
static int find_none(struct train *train)
{
	const struct job *job = &train->load->job;
	struct train_plan *plan = &train->plan;
	const char *strategy = job->sync.entry->name;
	const char *sums = coll_algorithm_names[job->sync_params.allreduce];
	struct error err;

	if (job->sync_params.order == SYNC_ORDER_PLANNED) {
		error_set(&err,
			  "no plan is for sync.strategy '%s' with sync.allreduce '%s'; set "
			  "sync.order=given",
			  strategy, sums);
		return output_failure(EXIT_USAGE, &err);
	}
	plan->why = xasprintf("none is for sync.strategy '%s' with sync.allreduce '%s'; ranks stay "
			      "as they are numbered",
			      strategy, sums);
	plan->record = json_object_new();
	json_add_text(plan->record, "kind", no_plan);
	json_add_text(plan->record, "why", plan->why);
	return EXIT_DONE;
}

/* What a plan decides is said; what a recipe wants and a plan would not do, too. */
static void judge_compression(struct train_plan *plan, const struct job *job,
			      const struct plan_list *list, const struct plan *chosen)
{
	const struct sync_strategy *strategy = PART_AS(&job->sync, struct sync_strategy);
	struct sync_wish wish = { &job->sync, &job->sync_params, false };
	const char *scheme = job_scheme(job);
	const struct plan *dense = sync_choose(list, &wish);
	char *costs;

	if (is_chosen_by_plan(job)) {
		plan->compression = plan_verdict(scheme, list);
		return;
	}
	if (!chosen->compressed || !dense || (strategy->differences && !strategy->wants_plan))
		return; /* or plans do not tell what its steps take */
	costs = plan_compression(scheme, dense, chosen, true);
	plan->warns = chosen->step_s > dense->step_s;
	plan->compression = xasprintf("%s%s", costs,
				      plan->warns ? "; compress.scheme: none is faster, and "
						    "sync.strategy: auto chooses by itself"
						  : "");
	free(costs);
}

static int choose_from(struct train *train, const struct plan_list *list)
{
	struct train_plan *plan = &train->plan;
	struct job *job = &train->load->job;
	const struct plan *chosen = job_choose_plan(job, list);

	if (!chosen)
		return find_none(train);
	plan->roster.world = (int)hosts_slots(&train->hosts);
	plan_copy(&plan->roster.plan, chosen);
	plan->why = reason(list, chosen);
	plan->record = record_of(list, chosen, plan->why);
	judge_compression(plan, job, list, chosen);
	if (plan->compression)
		json_add_text(plan->record, "compression", plan->compression);
	if (is_chosen_by_plan(job))
		job_load_settle(train->load, chosen, chosen->compressed || !plan_first(list, true));
	return EXIT_DONE;
}

int train_plan_choose(struct train *train)
{
	const struct job *job = &train->load->job;
	struct roster *roster = &train->plan.roster;
	struct plan_env env = { .links = &roster->links,
				.world = (int)hosts_slots(&train->hosts),
				.compute_s = NAN,
				.search_s = SEARCH_S };
	struct plan_list list = { 0 };
	struct error err;
	int status;

	if (train->plan.source == TRAIN_LINKS_NONE)
		return go_without(train, strcmp(job->plan.links, "none") == 0
						 ? "plan.links is none"
						 : "there is one host");
	status = ask_job(train, &env);
	if (status != 0)
		return status;
	env.host_of = roster->host_of;
	if (plan_build(&list, &env, &err) < 0)
		return output_failure(EXIT_FAILED, &err);
	status = choose_from(train, &list);
	plan_list_release(&list);
	return status;
}

static int write_files(const struct train *train, struct error *err)
{
	const struct train_plan *plan = &train->plan;
	struct buf links = { 0 }, chosen = { 0 };
	int status;

	links_print(&plan->roster.links, &links);
	status = rundir_write(&train->rundir, links_name, links.data, links.length, err);
	if (status == 0 && plan->record) {
		json_print(plan->record, 2, &chosen);
		status = rundir_write(&train->rundir, plan_name, chosen.data, chosen.length, err);
	}
	buf_release(&links);
	buf_release(&chosen);
	return status;
}

int train_plan_make(struct train *train)
{
	struct error err;
	int status = train->plan.source == TRAIN_LINKS_PROBE ? train_probe(train) : EXIT_DONE;

	if (status == EXIT_DONE)
		status = train_plan_choose(train);
	if (status == EXIT_DONE && train->plan.source != TRAIN_LINKS_NONE &&
	    write_files(train, &err) < 0)
		status = output_failure(EXIT_FAILED, &err);
	if (status != EXIT_DONE && train->post) {
		error_set(&err, "no plan was made; why is said in %s/logs/orchestrator.log",
			  train->rundir.path);
		train_give_up(train, SUPERVISE_FAILED, &err);
	}
	return status;
}

static int take_plan(struct train *train, const struct json *json, struct error *err)
{
	struct roster *roster = &train->plan.roster;
	size_t world = hosts_slots(&train->hosts);

	if (plan_from_json(&roster->plan, json, err) < 0)
		return error_prefix(err, "%s/%s", train->rundir.path, plan_name);
	if (roster->plan.schedule.world != (int)world)
		return error_set(err,
				 "%s/%s is for %d ranks, and there are %zu; to plan anew: "
				 "--set plan.links=probe",
				 train->rundir.path, plan_name, roster->plan.schedule.world, world);
	if (train_links_restore(train, links_name, err) < 0)
		return -1;
	roster->world = (int)world;
	train->plan.why = xasprintf("%s, as before", roster->plan.name);
	return 0;
}

int train_plan_restore(struct train *train, struct error *err)
{
	struct buf text = { 0 };
	struct json *json = NULL;
	const char *kind;
	int status;

	if (train_links_source(train) == TRAIN_LINKS_NONE)
		return 0;
	status = train_links_file(train, plan_name, &text, err);
	if (status == 0) {
		json = json_parse(text.data, text.length, err);
		status = json ? 0 : error_prefix(err, "%s/%s", train->rundir.path, plan_name);
	}
	kind = status == 0 ? json_get_text(json, "kind") : NULL;
	if (status == 0 && kind && strcmp(kind, no_plan) == 0)
		train->plan.why = xstrdup("none, as before");
	else if (status == 0)
		status = take_plan(train, json, err);
	json_free(json);
	buf_release(&text);
	return status;
}

void train_plan_release(struct train_plan *plan)
{
	roster_release(&plan->roster);
	json_free(plan->record);
	free(plan->why);
	free(plan->compression);
	*plan = (struct train_plan){ 0 };
}
