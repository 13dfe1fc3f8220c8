/* dstrain sample: text from a trained model, on this machine. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/trained.h"
#include "runtime/generate.h"

/* As soon as it is known: a reader need not wait. */
static void say(void *arg, const char *word)
{
	(void)arg;
	fputs(word, stdout);
	fflush(stdout);
}

static int print_sample(const struct trained *trained, const struct job *job,
			const struct flags *flags, struct error *err)
{
	struct generate generate = { .prompt = flags->prompt,
				     .tokens = flags->tokens,
				     .temperature = flags->temperature,
				     .top_k = flags->top_k,
				     .seed = flags->seed,
				     .say = say };

	if (generate_file(&generate, job, trained->model, err) < 0)
		return -1;
	puts("");
	return 0;
}

static int sample(const struct flags *flags)
{
	return trained_run(flags, print_sample);
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
