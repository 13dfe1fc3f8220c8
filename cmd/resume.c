/* dstrain resume: goes on from the newest valid checkpoint of a run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/output.h"
#include "cmd/summary.h"
#include "cmd/train.h"
#include "lib/collect.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/runs.h"
#include "lib/stop.h"

/* What differs from the run that wrote the checkpoint. */
static void say_changes(const struct train *train)
{
	const struct manifest *manifest = &train->restore;
	size_t world = hosts_slots(&train->hosts);
	struct buf recipe = { 0 };
	char digest[DIGEST_HEX];

	settings_print(&train->load->resolved, &recipe);
	digest_bytes(digest, buf_text(&recipe), recipe.length);
	if (strcmp(digest, manifest->recipe_digest) != 0)
		log_info("the recipe was changed since the checkpoint was written");
	if (world != manifest->world)
		log_info("%zu ranks instead of %u: what each rank had of its own is left behind "
			 "but for what compression owes, which is handed over, and the losses will "
			 "differ in the last digits",
			 world, manifest->world);
	buf_release(&recipe);
}

/* Steps that the recipe asks for, on the data that the checkpoint was trained on. */
static uint64_t steps_wanted(const struct train *train)
{
	const struct job_params *params = &train->load->job.params;

	return params->steps ? params->steps
			     : params->epochs * (train->restore.samples / params->batch);
}

static void say_complete(const struct train *train)
{
	struct summary summary = {
		.end = SUPERVISE_DONE,
		.name = train->load->job.params.name,
		.rundir = train->rundir.path,
		.hosts = train->hosts.count,
		.world = hosts_slots(&train->hosts),
		.checkpoint_step = train->restore.step,
		.totals = { .step = train->restore.step,
			    .steps = steps_wanted(train),
			    .steps_per_epoch = train->restore.steps_per_epoch,
			    .elapsed_s = train->restore.elapsed_s,
			    .last_loss = NAN },
	};

	if (train->flags->json) {
		struct json *json = summary_json(&summary);

		output_json(json);
		json_free(json);
	}
	log_info("already complete: %llu steps are done, the recipe asks for %llu; to train on: "
		 "dstrain resume %s --set train.%s=MORE",
		 (unsigned long long)summary.totals.step, (unsigned long long)summary.totals.steps,
		 train->rundir.path, train->load->job.params.steps ? "steps" : "epochs");
}

/* The plan is that of the run, unless somebody asks for another. */
static bool plans_anew(const struct flags *flags)
{
	for (size_t i = 0; i < flags->set_count; i++)
		if (strncmp(flags->set[i], "plan.", 5) == 0)
			return true;
	return false;
}

static int prepare_plan(struct train *train, struct error *err)
{
	return plans_anew(train->flags) ? train_plan_prepare(train, err)
					: train_plan_restore(train, err);
}

/* What a run directory says of how it trains. */
static const char *const records[] = { "recipe.yaml", "hosts.yaml", "links.json", "plan.json" };

struct before {
	bool there;
	struct buf text;
};

static int read_before(const struct train *train, struct before *before, struct error *err)
{
	int status = 0;

	for (size_t i = 0; i < ARRAY_SIZE(records) && status == 0; i++) {
		char *path = rundir_file(&train->rundir, records[i]);

		before[i].there = file_exists(path);
		if (before[i].there)
			status = file_read(&before[i].text, path, SIZE_MAX / 2, err);
		free(path);
	}
	return status;
}

static void put_back(const struct train *train, const struct before *before)
{
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		char *path = rundir_file(&train->rundir, records[i]);

		if (!before[i].there)
			unlink(path);
		else if (rundir_write(&train->rundir, records[i], before[i].text.data,
				      before[i].text.length, &err) < 0)
			log_warn("%s", err.text);
		free(path);
	}
}

/* A changed recipe stays recorded only if training with it got as far as a checkpoint. */
static int go_on(struct train *train)
{
	struct before before[ARRAY_SIZE(records)] = { 0 };
	int status = EXIT_FAILED;
	struct error err;

	if (read_before(train, before, &err) < 0) {
		log_error("%s", err.text);
	} else {
		status = plans_anew(train->flags) ? train_plan_make(train) : EXIT_DONE;
		if (status == EXIT_DONE && train_record(train, &err) < 0) {
			log_error("%s", err.text);
			status = EXIT_FAILED;
		}
		if (status == EXIT_DONE)
			status = train_launch(train);
		if (status != EXIT_DONE && train->saved_step <= train->restore.step)
			put_back(train, before);
	}
	for (size_t i = 0; i < ARRAY_SIZE(records); i++)
		buf_release(&before[i].text);
	return status;
}

static int find_checkpoint(struct train *train, struct error *err)
{
	char *checkpoints = rundir_file(&train->rundir, "checkpoints");
	struct error why;

	train->restore_dir = collect_newest(checkpoints, &train->restore, &why);
	free(checkpoints);
	if (train->restore_dir)
		return 0;
	return error_set(err, "%s; to start anew: dstrain run %s/recipe.yaml --run-dir ANOTHER",
			 why.text, train->rundir.path);
}

static int start(struct train *train)
{
	char *hosts = rundir_file(&train->rundir, "hosts.yaml");
	struct error err;
	int status = train_hosts(train, hosts, &err);

	free(hosts);
	if (status < 0) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	if (find_checkpoint(train, &err) < 0 || prepare_plan(train, &err) < 0 ||
	    train_files(train, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	if (train->restore.step >= steps_wanted(train)) {
		say_complete(train);
		return EXIT_DONE;
	}
	log_info("resuming from step %llu", (unsigned long long)train->restore.step);
	say_changes(train);
	if (train->flags->dry_run) {
		train_dry_run(train);
		return EXIT_DONE;
	}
	return go_on(train);
}

static int resume(const struct flags *flags)
{
	struct job_load load = { .trained = true };
	struct train train = { .flags = flags, .load = &load };
	char *recipe = NULL, *dir;
	struct error err;
	int status;

	if (train_detach(flags, &status))
		return status;
	stop_install(flags->detach);
	status = EXIT_USAGE;
	dir = run_path(flags->operands[0], &err);
	if (!dir || rundir_open(&train.rundir, dir, &err) < 0) {
		log_error("%s", err.text);
	} else {
		recipe = rundir_file(&train.rundir, "recipe.yaml");
		if (job_load(&load, recipe, flags) == 0)
			status = start(&train);
		job_load_report(&load);
	}
	train_release(&train);
	job_load_release(&load);
	free(recipe);
	free(dir);
	return status;
}

const struct command resume_command = {
	.name = "resume",
	.operands = "RUN",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_DIRECTORY,
	.flags = FLAG_HOSTS | FLAG_SET | FLAG_FANOUT | FLAG_DRY_RUN | FLAG_JSON | FLAG_GRACE |
		 FLAG_DETACH,
	.summary = "Go on with a run from its newest valid checkpoint",
	.details =
		"RUN is a run directory, or a name as `dstrain ps` shows it. Hosts and recipe are "
		"those of the run directory unless flags say otherwise. On "
		"as many ranks as before, the losses are the same as if the run had never been "
		"stopped.",
	.run = resume,
};
