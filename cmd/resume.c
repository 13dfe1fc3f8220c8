/* dstrain resume: goes on from the newest valid checkpoint of a run. */
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/train.h"
#include "lib/collect.h"
#include "lib/error.h"
#include "lib/log.h"
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
		log_info("%zu ranks instead of %u: what each rank had of its own is left behind, "
			 "and the losses will differ in the last digits",
			 world, manifest->world);
	buf_release(&recipe);
}

static int prepare(struct train *train, struct error *err)
{
	char *checkpoints = rundir_file(&train->rundir, "checkpoints");

	train->restore_dir = collect_newest(checkpoints, &train->restore, err);
	free(checkpoints);
	if (!train->restore_dir || train_files(train, err) < 0)
		return -1;
	log_info("resuming from step %llu", (unsigned long long)train->restore.step);
	say_changes(train);
	return train->flags->dry_run ? 0 : train_record(train, err);
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
	if (prepare(train, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	if (!train->flags->dry_run)
		return train_launch(train);
	train_dry_run(train);
	return EXIT_DONE;
}

static int resume(const struct flags *flags)
{
	struct job_load load = { 0 };
	struct train train = { .flags = flags, .load = &load };
	char *recipe = NULL;
	int status = EXIT_USAGE;
	struct error err;

	stop_install();
	if (rundir_open(&train.rundir, flags->operands[0], &err) < 0) {
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
	return status;
}

const struct command resume_command = {
	.name = "resume",
	.operands = "RUN-DIR",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_DIRECTORY,
	.flags = FLAG_HOSTS | FLAG_SET | FLAG_FANOUT | FLAG_DRY_RUN | FLAG_JSON,
	.summary = "Go on with a run from its newest valid checkpoint",
	.details = "Hosts and recipe are those of the run directory unless flags say otherwise. On "
		   "as many ranks as before, the losses are the same as if the run had never been "
		   "stopped.",
	.run = resume,
};
