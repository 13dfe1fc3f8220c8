/* log(1 + exp(-z)) for class 1 and log(1 + exp(z)) for class 0: one output. */
#include <math.h>

#include "lib/error.h"
#include "runtime/model/layer.h"

static int check(size_t classes, size_t outputs, struct error *err)
{
	if (classes != 2)
		return error_set(err,
				 "loss 'logistic' needs data with 2 classes, not %zu; use model "
				 "'softmax' for more, 'mlp' for values to regress",
				 classes);
	if (outputs != 1)
		return error_set(err, "loss 'logistic' needs one output, not %zu", outputs);
	return 0;
}

static double sigmoid(double z)
{
	return 1 / (1 + exp(-z));
}

static void evaluate(const struct loss_call *call, struct score *score)
{
	for (size_t i = 0; i < call->rows; i++) {
		double z = call->logits[i], target = call->targets[i];

		/* log(1 + exp(z)) - z target, with the exponent never above 0 */
		score->loss_sum += log1p(exp(-fabs(z))) + fmax(z, 0) - z * target;
		score->correct += (z > 0) == (target > 0);
		if (call->dlogits)
			call->dlogits[i] = (float)(sigmoid(z) - target) * call->scale;
	}
}

const struct loss loss_logistic = {
	.entry = { .name = "logistic",
		   .summary = "minus the log probability of the right one of two classes" },
	.check = check,
	.evaluate = evaluate,
};
