/* (z - target)^2: one output, a value to regress. */
#include "lib/error.h"
#include "runtime/model/layer.h"

static int check(size_t classes, size_t outputs, struct error *err)
{
	if (classes != 0)
		return error_set(err,
				 "loss 'mean_squared_error' needs values to regress, not %zu "
				 "classes",
				 classes);
	if (outputs != 1)
		return error_set(err, "loss 'mean_squared_error' needs one output, not %zu",
				 outputs);
	return 0;
}

static void evaluate(const struct loss_call *call, struct score *score)
{
	for (size_t i = 0; i < call->rows; i++) {
		double miss = (double)call->logits[i] - call->targets[i];

		score->loss_sum += miss * miss;
		if (call->dlogits)
			call->dlogits[i] = (float)(2 * miss) * call->scale;
	}
}

const struct loss loss_mean_squared_error = {
	.entry = { .name = "mean_squared_error", .summary = "squared distance from the value" },
	.check = check,
	.evaluate = evaluate,
};
