/* What `run` and `resume` have in common: a checked job on hosts, to its end and its summary. */
#include "cmd/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/detach.h"
#include "cmd/job_load.h"
#include "cmd/output.h"
#include "cmd/summary.h"
#include "lib/clock.h"
#include "lib/collect.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/launch.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/post.h"
#include "lib/progress.h"
#include "lib/runs.h"
#include "lib/stop.h"
#include "lib/terminal.h"
#include "runtime/transport/transport.h"

static void say_detached(const struct flags *flags, const char *run_dir)
{
	struct json *json = json_object_new();

	json_add_text(json, "run_dir", run_dir);
	if (flags->json)
		output_json(json);
	else
		printf("%s\n", run_dir);
	log_info("training has begun and goes on by itself; watch it: dstrain attach %s; stop it: "
		 "dstrain stop %s",
		 run_dir, run_dir);
	json_free(json);
}

bool train_detach(const struct flags *flags, int *status)
{
	struct error err;
	char *run_dir;
	int left;

	if (!flags->detach || flags->dry_run)
		return false;
	left = detach_fork(status, &run_dir, &err);
	if (left < 0) {
		log_error("%s", err.text);
		*status = EXIT_FAILED;
	} else if (left > 0 && run_dir) {
		say_detached(flags, run_dir);
	}
	free(run_dir);
	return left != 0;
}

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
	status = provision_collect(&train->files, paths, count, hosts_remote(&train->hosts), err);
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
				    .live = !flags->quiet && !flags->verbose && !flags->detach &&
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

/* Nobody is served by a run that ends because it cannot be watched. */
void train_open(struct train *train)
{
	char *log, *old;
	struct error err;

	if (train->started > 0)
		return;
	train->started = clock_wall();
	log = rundir_file(&train->rundir, "logs/orchestrator.log");
	old = rundir_file(&train->rundir, RUN_RESULT);
	unlink(old);
	if (runs_enter(train->rundir.path, &err) < 0)
		log_warn("`dstrain ps` will not show this run: %s", err.text);
	train->post = post_open(train->rundir.path, log, &err);
	if (!train->post)
		log_warn("this run can be neither watched nor stopped from elsewhere: %s",
			 err.text);
	log_info("run directory %s", train->rundir.path);
	free(old);
	free(log);
}

static void begun(void *arg)
{
	const struct train *train = arg;
	char *log = rundir_file(&train->rundir, "logs/orchestrator.log");

	if (train->flags->detach) {
		post_end_log(train->post);
		detach_begun(train->rundir.path, log);
	}
	free(log);
}

static void record_result(const struct train *train, const struct json *result)
{
	struct buf text = { 0 };
	struct error err;

	json_print(result, 2, &text);
	if (rundir_write(&train->rundir, RUN_RESULT, text.data, text.length, &err) < 0)
		log_warn("%s", err.text);
	buf_release(&text);
}

/* What has to be said of how it ended; caller frees. */
static struct json *result_of(const struct train *train, struct summary *summary)
{
	summary->name = train->load->job.params.name;
	summary->rundir = train->rundir.path;
	summary->hosts = train->hosts.count;
	summary->world = hosts_slots(&train->hosts);
	summary->plan = train->plan.roster.world ? &train->plan.roster.plan : NULL;
	summary->started = train->started;
	summary->exit_status = train_exit_status(summary->end);
	return summary_json(summary);
}

/* For all who ask, now and later. */
static void close_post(struct train *train, const struct json *result)
{
	record_result(train, result);
	post_close(train->post, result);
	train->post = NULL;
}

void train_give_up(struct train *train, enum supervise_end end, const struct error *why)
{
	struct summary summary = { .end = end,
				   .why = why,
				   .checkpoint_step = train->restore.step,
				   .totals = { .step = train->restore.step,
					       .start_step = train->restore.step,
					       .elapsed_s = train->restore.elapsed_s,
					       .last_loss = NAN } };
	struct json *result = result_of(train, &summary);

	close_post(train, result);
	json_free(result);
}

static int finish(struct train *train, struct launch *launched, enum supervise_end end,
		  const struct error *err)
{
	struct summary summary = { .end = end,
				   .why = err,
				   .report = buf_text(&launched->report),
				   .checkpoint_step = launched->collect->last_step,
				   .totals = progress_totals(launched->progress) };
	struct json *result = result_of(train, &summary);

	progress_hide();
	if (train->flags->json)
		output_json(result);
	else if (end == SUPERVISE_DONE && !train->flags->quiet)
		summary_print(result);
	summary_tell(result);
	close_post(train, result);
	json_free(result);
	return summary.exit_status;
}

/* So that nobody takes the figures of an experiment for those of the network and the hosts. */
static void say_faults(const struct train *train)
{
	struct buf what = { 0 };

	fault_describe(&train->load->job.fault, &what);
	if (what.length)
		log_warn("faults are injected, as the recipe wants: %s", buf_text(&what));
	buf_release(&what);
}

/* What a run that goes on has trained counts. */
static double seconds_left(const struct train *train)
{
	double limit = train->load->job.params.seconds;

	return limit > 0 && train->restore_dir ? fmax(limit - train->restore.elapsed_s, 1e-3)
					       : limit;
}

int train_launch(struct train *train)
{
	struct buf recipe = { 0 }, plan = { 0 };
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
		.seconds = seconds_left(train),
		.grace_s = train->flags->grace_s,
		.begun = begun,
		.begun_arg = train,
	};
	struct error err = { "" };
	enum supervise_end end;
	int status = EXIT_FAILED;

	settings_print(&train->load->resolved, &recipe);
	launched.recipe = buf_text(&recipe);
	if (train->plan.roster.world)
		roster_print(&train->plan.roster, &plan);
	launched.plan = buf_text(&plan);
	collect = new_collect(train, launched.recipe);
	collect_remove_stale(&collect);
	launched.progress = open_progress(train, &err);
	if (launched.progress) {
		train_open(train);
		launched.post = train->post;
		if (train->plan.why)
			log_info("plan: %s", train->plan.why);
		if (train->plan.compression && train->plan.warns)
			log_warn("%s", train->plan.compression);
		else if (train->plan.compression)
			log_info("%s", train->plan.compression);
		say_faults(train);
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
	buf_release(&plan);
	return status;
}

void train_release(struct train *train)
{
	post_close(train->post, NULL);
	hosts_release(&train->hosts);
	provision_files_release(&train->files);
	rundir_release(&train->rundir);
	train_plan_release(&train->plan);
	manifest_release(&train->restore);
	free(train->restore_dir);
	*train = (struct train){ 0 };
}
