/* dstrain run: from a recipe to a trained model. */
#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/output.h"
#include "cmd/train.h"
#include "lib/error.h"
#include "lib/stop.h"

/* Says early what workers would say of the model, if that takes no reading of all samples. */
static bool model_is_good(struct job_load *load, size_t ranks)
{
	struct model *model;
	struct error err;

	if (!PART_AS(&load->job.data, struct data_format)->describe ||
	    job_load_build(load, ranks, &model, &err) < 0)
		return true;
	model_free(model);
	return model;
}

/* Plans only with links that are known. */
static int dry_run(struct train *train)
{
	int status = train->plan.source == TRAIN_LINKS_PROBE ? EXIT_DONE : train_plan_choose(train);

	if (status == EXIT_DONE)
		train_dry_run(train);
	return status;
}

static int start(struct train *train)
{
	const struct job_params *params = &train->load->job.params;
	const struct flags *flags = train->flags;
	struct error err;
	int status;

	if (train_hosts(train, params->hosts, &err) < 0 || train_plan_prepare(train, &err) < 0)
		return output_failure(EXIT_USAGE, &err);
	if (!model_is_good(train->load, hosts_slots(&train->hosts)))
		return EXIT_USAGE;
	if (train_files(train, &err) < 0)
		return output_failure(EXIT_FAILED, &err);
	if (flags->dry_run)
		return dry_run(train);
	if (rundir_create(&train->rundir, flags->run_dir, params->name, &err) < 0 ||
	    train_record(train, &err) < 0)
		return output_failure(EXIT_FAILED, &err);
	status = train_plan_make(train);
	if (status != EXIT_DONE)
		return status;
	if (train_record(train, &err) < 0) /* again, with what the plan chose */
		return output_failure(EXIT_FAILED, &err);
	return train_launch(train);
}

static int run(const struct flags *flags)
{
	struct job_load load = { 0 };
	struct train train = { .flags = flags, .load = &load };
	int status;

	if (train_detach(flags, &status))
		return status;
	stop_install(flags->detach);
	status = EXIT_USAGE;
	if (job_load(&load, flags->operands[0], flags) == 0)
		status = start(&train);
	job_load_report(&load);
	train_release(&train);
	job_load_release(&load);
	return status;
}

const struct command run_command = {
	.name = "run",
	.operands = "RECIPE",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_FILE,
	.flags = FLAG_HOSTS | FLAG_EMULATE | FLAG_SET | FLAG_LINKS | FLAG_RUN_DIR | FLAG_FANOUT |
		 FLAG_DRY_RUN | FLAG_JSON | FLAG_GRACE | FLAG_DETACH,
	.summary = "Train what a recipe says",
	.details = "Copies itself and the data to the hosts where they lack it, measures the links "
		   "between them if that makes a difference to the recipe, starts a worker per "
		   "slot, trains, and leaves model, metrics and logs in the run directory. Ctrl-C "
		   "finishes the step, saves a checkpoint and ends; a second one within a second "
		   "aborts.",
	.run = run,
};
