/* What `run` and `resume` have in common: a checked job on hosts, to its end and its summary. */
#include "cmd/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/summary.h"
#include "lib/collect.h"
#include "lib/error.h"
#include "lib/launch.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/progress.h"
#include "lib/stop.h"
#include "lib/terminal.h"
#include "runtime/transport/transport.h"

int train_hosts(struct train *train, const char *fallback, struct error *err)
{
	const char *spec = train->flags->hosts ? train->flags->hosts : fallback;
	struct problems problems = { 0 };
	int status = hosts_load(&train->hosts, spec, &problems, err);

	if (problems.count)
		fputs(buf_text(&problems.text), stderr);
	problems_release(&problems);
	return status < 0 ? -1 : job_load_fits(train->load, hosts_slots(&train->hosts), err);
}

int train_files(struct train *train, struct error *err)
{
	size_t count;
	char ***fields = job_files(&train->load->job, &count);
	char **paths = xcalloc(count, sizeof(*paths));
	int status;

	for (size_t i = 0; i < count; i++)
		paths[i] = *fields[i];
	status = provision_collect(&train->files, paths, count, err);
	free(paths);
	free(fields);
	return status;
}

int train_record(struct train *train, struct error *err)
{
	struct buf recipe = { 0 }, hosts = { 0 };
	int status;

	settings_print(&train->load->resolved, &recipe);
	hosts_print(&train->hosts, &hosts);
	status = rundir_write(&train->rundir, "recipe.yaml", recipe.data, recipe.length, err);
	if (status == 0)
		status = rundir_write(&train->rundir, "hosts.yaml", hosts.data, hosts.length, err);
	buf_release(&recipe);
	buf_release(&hosts);
	return status;
}

static struct progress *open_progress(const struct train *train, struct error *err)
{
	const struct flags *flags = train->flags;
	char *path = rundir_file(&train->rundir, "metrics.jsonl");
	struct progress_env env = { .metrics_path = path,
				    .world = (uint32_t)hosts_slots(&train->hosts),
				    .live = !flags->quiet && !flags->verbose &&
					    terminal_rewrites(STDERR_FILENO),
				    .quiet = flags->quiet,
				    .start_step = train->restore.step,
				    .elapsed_s = train->restore.elapsed_s };
	struct progress *progress = progress_open(&env, err);

	free(path);
	return progress;
}

static struct collect new_collect(const struct train *train, const char *recipe)
{
	const struct job_params *params = &train->load->job.params;
	struct collect collect = { .dir = rundir_file(&train->rundir, "checkpoints"),
				   .keep = params->checkpoint_keep,
				   .last_step = train->restore.step };

	collect.likeness.seed = params->seed;
	collect.likeness.world = (uint32_t)hosts_slots(&train->hosts);
	digest_bytes(collect.likeness.recipe_digest, recipe, strlen(recipe));
	return collect;
}

int train_exit_status(enum supervise_end end)
{
	switch (end) {
	case SUPERVISE_DONE: return EXIT_DONE;
	case SUPERVISE_STOPPED:
	case SUPERVISE_ABORTED: return 128 + stop_signal();
	case SUPERVISE_LOST: return EXIT_LOST;
	case SUPERVISE_FAILED: break;
	}
	return EXIT_FAILED;
}

/* What went wrong, what there is to see of it, and how to go on. */
static void say_failure(const struct train *train, const struct launch *launched,
			const struct error *err)
{
	char *path = train->rundir.path;

	log_error("%s", err->text);
	fputs(buf_text(&launched->report), stderr);
	if (launched->collect->last_step)
		log_info("the checkpoint of step %llu is kept; go on with: dstrain resume %s",
			 (unsigned long long)launched->collect->last_step, path);
}

static int finish(const struct train *train, struct launch *launched, enum supervise_end end,
		  const struct error *err)
{
	struct summary summary = { .end = end,
				   .why = err,
				   .name = train->load->job.params.name,
				   .rundir = train->rundir.path,
				   .hosts = train->hosts.count,
				   .world = hosts_slots(&train->hosts),
				   .checkpoint_step = launched->collect->last_step,
				   .totals = progress_totals(launched->progress),
				   .exit_status = train_exit_status(end) };

	progress_hide();
	if (train->flags->json)
		summary_print_json(&summary);
	else if (end == SUPERVISE_DONE && !train->flags->quiet)
		summary_print(&summary);
	if (end == SUPERVISE_STOPPED && !summary.checkpoint_step)
		log_info("stopped before the first step");
	else if (end == SUPERVISE_STOPPED)
		log_info("stopped after step %llu; go on with: dstrain resume %s",
			 (unsigned long long)summary.totals.step, train->rundir.path);
	else if (end != SUPERVISE_DONE)
		say_failure(train, launched, err);
	return summary.exit_status;
}

int train_launch(struct train *train)
{
	struct buf recipe = { 0 };
	struct collect collect = { 0 };
	struct launch launched = {
		.hosts = &train->hosts,
		.files = &train->files,
		.rundir = &train->rundir,
		.threads = PART_AS(&train->load->job.transport, struct transport)->threads,
		.fanout = train->flags->fanout,
		.collect = &collect,
		.restore_dir = train->restore_dir,
		.restore = train->restore_dir ? &train->restore : NULL,
	};
	struct error err = { "" };
	enum supervise_end end;
	int status = EXIT_FAILED;

	settings_print(&train->load->resolved, &recipe);
	launched.recipe = buf_text(&recipe);
	collect = new_collect(train, launched.recipe);
	launched.progress = open_progress(train, &err);
	if (launched.progress) {
		log_info("run directory %s", train->rundir.path);
		end = launch(&launched, &err);
		status = finish(train, &launched, end, &err);
	} else {
		log_error("%s", err.text);
	}
	train->saved_step = collect.last_step;
	progress_close(launched.progress);
	buf_release(&launched.report);
	collect_release(&collect);
	buf_release(&recipe);
	return status;
}

void train_release(struct train *train)
{
	hosts_release(&train->hosts);
	provision_files_release(&train->files);
	rundir_release(&train->rundir);
	manifest_release(&train->restore);
	free(train->restore_dir);
	*train = (struct train){ 0 };
}
