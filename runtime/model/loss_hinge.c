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

static void evaluate_two(const float *logits, const float *targets, size_t batch, float scale,
			 struct score *score, float *dlogits)
{
	for (size_t i = 0; i < batch; i++) {
		float side = 2 * targets[i] - 1;
		double miss = 1 - (double)side * logits[i];

		score->loss_sum += miss < 0 ? 0 : miss; /* a NaN stays one */
		score->correct += (logits[i] > 0) == (targets[i] > 0);
		if (dlogits)
			dlogits[i] = miss > 0 ? -side * scale : 0;
	}
}

static void evaluate_many(const float *logits, const float *targets, size_t batch, size_t outputs,
			  float scale, struct score *score, float *dlogits)
{
	for (size_t i = 0; i < batch; i++) {
		const float *z = logits + i * outputs;
		size_t target = (size_t)targets[i], rival = target == 0 ? 1 : 0;
		double miss;

		for (size_t j = 0; j < outputs; j++)
			rival = j != target && z[j] > z[rival] ? j : rival;
		miss = 1 + (double)z[rival] - z[target];
		score->loss_sum += miss < 0 ? 0 : miss;
		score->correct += z[target] > z[rival];
		if (!dlogits)
			continue;
		memset(dlogits + i * outputs, 0, outputs * sizeof(*dlogits));
		if (miss > 0) {
			dlogits[i * outputs + rival] = scale;
			dlogits[i * outputs + target] = -scale;
		}
	}
}

static void evaluate(const float *logits, const float *targets, size_t batch, size_t outputs,
		     float scale, struct score *score, float *dlogits)
{
	if (outputs == 1)
		evaluate_two(logits, targets, batch, scale, score, dlogits);
	else
		evaluate_many(logits, targets, batch, outputs, scale, score, dlogits);
}

const struct loss loss_hinge = {
	.entry = { .name = "hinge",
		   .summary = "how far the right class is from winning by a margin of 1" },
	.check = check,
	.evaluate = evaluate,
};
