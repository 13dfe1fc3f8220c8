/* Before workers train: what the links carry, and who is to synchronise with whom. */
#include "cmd/train_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/train.h"
#include "cmd/train_probe.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/links_file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "runtime/transport/emulate.h"

static const char links_name[] = "links.json", plan_name[] = "plan.json";

enum { CANDIDATES_KEPT = 20, SEARCH_S = 2 };

static int fail(int status, const struct error *why)
{
	log_error("%s", why->text);
	return status;
}

static bool is_chosen_by_plan(const struct job *job)
{
	return PART_AS(&job->sync, struct sync_strategy)->chosen_by_plan;
}

static const char **host_names(const struct hosts *hosts)
{
	const char **names = xcalloc(hosts->count, sizeof(*names));

	for (size_t i = 0; i < hosts->count; i++)
		names[i] = hosts->entries[i].name;
	return names;
}

/* Not named in the recipe: measured, or known because it is emulated. */
static bool is_measured(const char *links)
{
	return strcmp(links, "auto") == 0 || strcmp(links, "probe") == 0;
}

static enum train_links source_of(const struct train *train)
{
	const struct job *job = &train->load->job;
	const char *links = job->plan.links;

	if ((train->hosts.count < 2 && !job->params.emulate) || strcmp(links, "none") == 0)
		return TRAIN_LINKS_NONE;
	if (job->params.emulate && is_measured(links))
		return job_wants_plan(job) || strcmp(links, "probe") == 0 ? TRAIN_LINKS_FILE
									  : TRAIN_LINKS_NONE;
	if (strcmp(links, "auto") == 0)
		return job_wants_plan(job) ? TRAIN_LINKS_PROBE : TRAIN_LINKS_NONE;
	return strcmp(links, "probe") == 0 ? TRAIN_LINKS_PROBE : TRAIN_LINKS_FILE;
}

/* The ranks are on one host, and on several as far as they know. */
static int select_emulated(struct train *train, const struct links *all, struct error *err)
{
	const struct job_params *params = &train->load->job.params;
	struct roster *roster = &train->plan.roster;
	struct links network;
	int status;

	if (emulator_network(&network, &roster->host_of, (int)hosts_slots(&train->hosts),
			     params->emulate, params->emulate_rtt, err) < 0)
		return -1;
	status = links_select(&roster->links, all, (const char *const *)network.names,
			      network.hosts, err);
	links_release(&network);
	return status;
}

/* The hosts of this run, in their order, out of all that the file knows. */
static int select_hosts(struct train *train, const struct links *all, const char *path,
			struct error *err)
{
	const char **names;
	int status;

	if (train->load->job.params.emulate) {
		status = select_emulated(train, all, err);
	} else {
		names = host_names(&train->hosts);
		status = links_select(&train->plan.roster.links, all, names, train->hosts.count,
				      err);
		free(names);
	}
	return status < 0 ? error_prefix(err, "%s", path) : 0;
}

static void find_ranks(struct train *train)
{
	struct roster *roster = &train->plan.roster;

	if (!roster->host_of) /* not emulated */
		roster->host_of = roster_host_of(&train->hosts);
}

static int read_links(struct train *train, const char *path, const char *rtt_path,
		      struct error *err)
{
	struct problems problems = { 0 };
	struct links all = { 0 };
	int status = links_load(&all, NULL, path, rtt_path, &problems, err);

	fputs(buf_text(&problems.text), stderr);
	if (status == 0)
		status = select_hosts(train, &all, path, err);
	links_release(&all);
	problems_release(&problems);
	return status;
}

int train_plan_prepare(struct train *train, struct error *err)
{
	const struct job *job = &train->load->job;

	train->plan.source = source_of(train);
	if (train->plan.source != TRAIN_LINKS_FILE)
		return 0;
	if (job->params.emulate && is_measured(job->plan.links))
		return read_links(train, job->params.emulate, job->params.emulate_rtt, err);
	return read_links(train, job->plan.links, NULL, err);
}

/* Of the parameters, as every rank holds them. */
static int count_bytes(struct train *train, double *bytes)
{
	const struct job *job = &train->load->job;
	struct dataset data;
	struct model *model;
	struct error err;

	if (dataset_describe(&job->data, job->params.seed, &data, &err) < 0)
		return fail(EXIT_USAGE, &err);
	model = job_load_model(train->load, &data, hosts_slots(&train->hosts));
	dataset_release(&data);
	if (!model)
		return EXIT_USAGE; /* said with the recipe's other problems */
	*bytes = (double)model_count(model) * sizeof(float);
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

static char *reason(const struct plan_list *list, const struct plan *chosen)
{
	bool best = chosen == &list->plans[0];
	struct buf text = { 0 };

	buf_addf(&text, "%s, predicted %.3g s per step, held back by %s", chosen->name,
		 chosen->step_s, chosen->bottleneck);
	if (list->count > 1)
		buf_addf(&text, "; %s: %s, %.3g s", best ? "next best" : "best of all",
			 list->plans[best].name, list->plans[best].step_s);
	return buf_take(&text);
}

/* No plan: then ranks stay as they are numbered, and a strategy that a plan chooses is settled. */
static int go_without(struct train *train, const char *why)
{
	struct job *job = &train->load->job;

	if (!job_wants_plan(job))
		return EXIT_DONE;
	if (is_chosen_by_plan(job)) {
		job_load_settle(train->load, NULL);
		train->plan.why =
			xasprintf("none, as %s; sync.strategy is %s", why, job->sync.entry->name);
	} else {
		train->plan.why = xasprintf("none, as %s", why);
	}
	return EXIT_DONE;
}

static int choose_from(struct train *train, const struct plan_list *list)
{
	struct train_plan *plan = &train->plan;
	struct job *job = &train->load->job;
	const struct plan *chosen = job_choose_plan(job, list);
	struct error err;

	if (!chosen) {
		error_set(&err,
			  "no plan is for sync.strategy '%s' with sync.allreduce '%s'; set "
			  "sync.order=planned, or plan.links=none",
			  job->sync.entry->name, coll_algorithm_names[job->sync_params.allreduce]);
		return fail(EXIT_USAGE, &err);
	}
	plan->roster.world = (int)hosts_slots(&train->hosts);
	plan_copy(&plan->roster.plan, chosen);
	plan->why = reason(list, chosen);
	plan->record = record_of(list, chosen, plan->why);
	if (is_chosen_by_plan(job))
		job_load_settle(train->load, chosen);
	return EXIT_DONE;
}

int train_plan_choose(struct train *train)
{
	const struct job *job = &train->load->job;
	struct roster *roster = &train->plan.roster;
	struct plan_env env = { .links = &roster->links,
				.world = (int)hosts_slots(&train->hosts),
				.compute_s = NAN,
				.consensus_period = (int)job->plan.consensus_period,
				.search_s = SEARCH_S,
				.seed = job->params.seed };
	struct plan_list list = { 0 };
	struct error err;
	int status;

	if (train->plan.source == TRAIN_LINKS_NONE)
		return go_without(train, train->hosts.count < 2 ? "there is one host"
								: "plan.links is none");
	status = count_bytes(train, &env.bytes);
	if (status != 0)
		return status;
	find_ranks(train);
	env.host_of = roster->host_of;
	if (plan_build(&list, &env, &err) < 0)
		return fail(EXIT_FAILED, &err);
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
	if (status != EXIT_DONE || train->plan.source == TRAIN_LINKS_NONE)
		return status;
	return write_files(train, &err) < 0 ? fail(EXIT_FAILED, &err) : EXIT_DONE;
}

/* A file of the run directory that only a new measurement can replace. */
static int read_file(const struct train *train, const char *name, struct buf *out,
		     struct error *err)
{
	char *path = rundir_file(&train->rundir, name);
	int status = file_read(out, path, SIZE_MAX / 2, err);
	struct error why = *err;

	free(path);
	return status < 0 ? error_set(err, "%s; to plan anew: --set plan.links=probe", why.text)
			  : 0;
}

static int restore_plan(struct train *train, struct error *err)
{
	struct roster *roster = &train->plan.roster;
	struct buf text = { 0 };
	struct json *json = NULL;
	int status = read_file(train, plan_name, &text, err);

	if (status == 0) {
		json = json_parse(text.data, text.length, err);
		status = json ? plan_from_json(&roster->plan, json, err) : -1;
		if (status < 0)
			error_prefix(err, "%s/%s", train->rundir.path, plan_name);
	}
	if (status == 0 && roster->plan.schedule.world != (int)hosts_slots(&train->hosts))
		status = error_set(err,
				   "%s/%s is for %d ranks, and there are %zu; to plan anew: "
				   "--set plan.links=probe",
				   train->rundir.path, plan_name, roster->plan.schedule.world,
				   hosts_slots(&train->hosts));
	json_free(json);
	buf_release(&text);
	return status;
}

static int restore_links(struct train *train, struct error *err)
{
	struct buf text = { 0 };
	struct links all = { 0 };
	char *path = rundir_file(&train->rundir, links_name);
	int status = read_file(train, links_name, &text, err);

	if (status == 0 && links_parse(&all, text.data, text.length, err) < 0)
		status = error_prefix(err, "%s", path);
	if (status == 0)
		status = select_hosts(train, &all, path, err);
	links_release(&all);
	buf_release(&text);
	free(path);
	return status;
}

int train_plan_restore(struct train *train, struct error *err)
{
	struct roster *roster = &train->plan.roster;

	if (source_of(train) == TRAIN_LINKS_NONE)
		return 0;
	if (restore_plan(train, err) < 0 || restore_links(train, err) < 0)
		return -1;
	roster->world = (int)hosts_slots(&train->hosts);
	find_ranks(train);
	train->plan.why = xasprintf("%s, as before", roster->plan.name);
	return 0;
}

void train_plan_release(struct train_plan *plan)
{
	roster_release(&plan->roster);
	json_free(plan->record);
	free(plan->why);
	*plan = (struct train_plan){ 0 };
}
