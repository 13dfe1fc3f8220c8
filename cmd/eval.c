/* dstrain eval: how well a trained model fits test data, on this machine. */
#include <math.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/output.h"
#include "cmd/trained.h"
#include "lib/json.h"
#include "lib/table.h"
#include "runtime/evaluate.h"

static double loss_of(const struct evaluation *evaluation)
{
	return evaluation->score.loss_sum / (double)evaluation->score.count;
}

/* NaN where the model predicts values. */
static double accuracy_of(const struct evaluation *evaluation)
{
	return evaluation->accuracy
		       ? (double)evaluation->score.correct / (double)evaluation->score.count
		       : NAN;
}

static void print_json(const struct trained *trained, const struct evaluation *evaluation)
{
	struct json *json = json_object_new();

	json_add_text(json, "model", trained->model);
	json_add_count(json, "step", trained->step);
	json_add_count(json, "parameters", evaluation->parameters);
	json_add_count(json, "samples", evaluation->samples);
	json_add_real(json, "loss", loss_of(evaluation));
	json_add_real(json, "accuracy", accuracy_of(evaluation));
	output_json(json);
	json_free(json);
}

static void print_text(const struct trained *trained, const struct evaluation *evaluation)
{
	struct table table = { .align = "ll" };

	table_add(&table, "model");
	table_add(&table, "%s, %zu parameters", trained->model, evaluation->parameters);
	table_add(&table, "samples");
	table_add(&table, "%zu", evaluation->samples);
	table_add(&table, "loss");
	table_add(&table, "%.6g", loss_of(evaluation));
	if (evaluation->accuracy) {
		table_add(&table, "accuracy");
		table_add(&table, "%.2f %%", 100 * accuracy_of(evaluation));
	}
	output_table(&table);
	table_release(&table);
}

static int print_evaluation(const struct trained *trained, const struct job *job,
			    const struct flags *flags, struct error *err)
{
	struct evaluation evaluation;

	if (evaluate_file(&evaluation, job, trained->model, err) < 0)
		return -1;
	if (flags->json)
		print_json(trained, &evaluation);
	else
		print_text(trained, &evaluation);
	return 0;
}

static int eval(const struct flags *flags)
{
	return trained_run(flags, print_evaluation);
}

const struct command eval_command = {
	.name = "eval",
	.operands = "CHECKPOINT",
	.least = 1,
	.most = 1,
	.operand_kind = OPERAND_FILE,
	.flags = FLAG_RECIPE | FLAG_DATA | FLAG_SET | FLAG_JSON,
	.summary = "Print a trained model's loss and accuracy on test data",
	.details = "CHECKPOINT is a run directory, or a name as `dstrain ps` shows it, for its "
		   "newest valid checkpoint; one checkpoint's directory; or a safetensors file, "
		   "which PyTorch may have written. The data are those of the run's recipe unless "
		   "--data or --set says otherwise. No host but this one takes part.",
	.run = eval,
};
