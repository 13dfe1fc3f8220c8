/*
 * The loss of support vector machines. One output z for two classes: max(0, 1 - y z), y = -1 or 1.
 * One output per class: max over j of z_j + [j != target], minus z_target (Crammer and Singer, "On
 * the algorithmic implementation of multiclass kernel-based vector machines", 2001).
 */
#include <string.h>

#include "lib/error.h"
#include "runtime/model/layer.h"

static int check(size_t classes, size_t outputs, struct error *err)
{
	if (classes < 2)
		return error_set(err, "loss 'hinge' needs data with 2 or more classes; for values "
				      "to regress use model 'mlp'");
	if (outputs == classes || (classes == 2 && outputs == 1))
		return 0;
	return error_set(err, "loss 'hinge' needs one output per class: %zu, not %zu", classes,
			 outputs);
}

static void evaluate_two(const struct loss_call *call, struct score *score)
{
	for (size_t i = 0; i < call->rows; i++) {
		float z = call->logits[i], side = 2 * call->targets[i] - 1;
		double miss = 1 - (double)side * z;

		score->loss_sum += miss < 0 ? 0 : miss; /* a NaN stays one */
		score->correct += (z > 0) == (side > 0);
		if (call->dlogits)
			call->dlogits[i] = miss > 0 ? -side * call->scale : 0;
	}
}

static void evaluate_many(const struct loss_call *call, struct score *score)
{
	size_t outputs = call->outputs;

	for (size_t i = 0; i < call->rows; i++) {
		const float *z = call->logits + i * outputs;
		float *slope = call->dlogits ? call->dlogits + i * outputs : NULL;
		size_t target = (size_t)call->targets[i], rival = target == 0 ? 1 : 0;
		double miss;

		for (size_t j = 0; j < outputs; j++)
			rival = j != target && z[j] > z[rival] ? j : rival;
		miss = 1 + (double)z[rival] - z[target];
		score->loss_sum += miss < 0 ? 0 : miss;
		score->correct += z[target] > z[rival];
		if (!slope)
			continue;
		memset(slope, 0, outputs * sizeof(*slope));
		if (miss > 0) {
			slope[rival] = call->scale;
			slope[target] = -call->scale;
		}
	}
}

static void evaluate(const struct loss_call *call, struct score *score)
{
	if (call->outputs == 1)
		evaluate_two(call, score);
	else
		evaluate_many(call, score);
}

const struct loss loss_hinge = {
	.entry = { .name = "hinge",
		   .summary = "how far the right class is from winning by a margin of 1" },
	.check = check,
	.evaluate = evaluate,
};
