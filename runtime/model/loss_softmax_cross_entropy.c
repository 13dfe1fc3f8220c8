/* -log softmax(z)[target]: one output per class. */
#include "lib/error.h"
#include "runtime/device/cross_entropy.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/model/layer.h"
#include "runtime/slice.h"

static int check(size_t classes, size_t outputs, struct error *err)
{
	if (classes < 2)
		return error_set(err, "loss 'softmax_cross_entropy' needs data with 2 or more "
				      "classes; for values to regress use model 'mlp'");
	if (outputs != classes)
		return error_set(err,
				 "loss 'softmax_cross_entropy' needs one output per class: %zu, "
				 "not %zu",
				 classes, outputs);
	return 0;
}

/* Rows are cut into at most so many parts, of at least so many outputs: each part has a sum of its
 * own, added in order. */
enum { PARTS = 64, LEAST = 4096 };

struct parts {
	const struct loss_call *call;
	size_t rows; /* of a part */
	double loss[PARTS];
	size_t correct[PARTS];
};

static void evaluate_part(void *arg, size_t part, size_t member)
{
	struct parts *p = arg;
	const struct loss_call *call = p->call;
	size_t first = part * p->rows, left = call->rows - first;

	(void)member;
	kernels()->cross_entropy(
		&(struct cross_entropy){
			.rows = left < p->rows ? left : p->rows,
			.outputs = call->outputs,
			.logits = call->logits + first * call->outputs,
			.targets = call->targets + first,
			.scale = call->scale,
			.slopes = call->dlogits ? call->dlogits + first * call->outputs : NULL,
		},
		&p->loss[part], &p->correct[part]);
}

static void evaluate(const struct loss_call *call, struct score *score)
{
	struct parts parts = { .call = call, .rows = slice_pieces(LEAST, call->outputs) };
	size_t count;

	if (parts.rows * PARTS < call->rows)
		parts.rows = slice_pieces(call->rows, PARTS);
	count = slice_pieces(call->rows, parts.rows);
	team_run(call->team, count, evaluate_part, &parts);
	for (size_t i = 0; i < count; i++) {
		score->loss_sum += parts.loss[i];
		score->correct += parts.correct[i];
	}
}

const struct loss loss_softmax_cross_entropy = {
	.entry = { .name = "softmax_cross_entropy",
		   .summary = "minus the log probability of the right class" },
	.check = check,
	.evaluate = evaluate,
};
