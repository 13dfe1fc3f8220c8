/* dstrain sample: text from a trained model, on this machine. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/job_load.h"
#include "cmd/trained.h"
#include "lib/error.h"
#include "lib/log.h"
#include "runtime/generate.h"

/* As soon as it is known: a reader need not wait. */
static void say(void *arg, const char *word)
{
	(void)arg;
	fputs(word, stdout);
	fflush(stdout);
}

static int sample_model(const struct trained *trained, const struct flags *flags)
{
	struct generate generate = { .prompt = flags->prompt,
				     .tokens = flags->tokens,
				     .temperature = flags->temperature,
				     .top_k = flags->top_k,
				     .seed = flags->seed,
				     .say = say };
	struct job_load load = { .trained = true };
	struct error err;
	int status = EXIT_DONE;

	if (job_load(&load, trained->recipe, flags) < 0) {
		job_load_report(&load);
		status = EXIT_USAGE;
	} else if (generate_file(&generate, &load.job, trained->model, &err) < 0) {
		log_error("%s", err.text);
		status = EXIT_FAILED;
	} else {
		puts("");
	}
	job_load_release(&load);
	return status;
}

static int sample(const struct flags *flags)
{
	struct trained trained = { 0 };
	struct error err;
	int status = trained_find(&trained, flags->operands[0], flags->recipe, &err);

	if (status == EXIT_DONE)
		status = sample_model(&trained, flags);
	else
		log_error("%s", err.text);
	trained_release(&trained);
	return status;
}

const struct command sample_command = {
	.name = "sample",
	.operands = "CHECKPOINT",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_FILE,
	.flags = FLAG_RECIPE | FLAG_SET | FLAG_SAMPLE,
	.summary = "Print text that a trained model makes up",
	.details = "CHECKPOINT is named as for `dstrain eval`, and must be of a model that says "
		   "what comes next, such as preset gpt trained on data of format text. The "
		   "training data of the run's recipe tell what its words are. The same seed gives "
		   "the same text.",
	.run = sample,
};
