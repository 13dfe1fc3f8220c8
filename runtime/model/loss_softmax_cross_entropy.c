/* -log softmax(z)[target]: one output per class. */
#include <math.h>

#include "lib/error.h"
#include "runtime/model/layer.h"

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

/* The largest output is taken out of the exponents, so that none overflows. */
static double log_sum_exp(const float *z, size_t count, size_t *largest)
{
	double others = 0;
	size_t best = 0;

	for (size_t j = 1; j < count; j++)
		best = z[j] > z[best] ? j : best;
	for (size_t j = 0; j < count; j++)
		others += j == best ? 0 : exp((double)z[j] - z[best]);
	*largest = best;
	return log1p(others) + z[best];
}

static void evaluate(const struct loss_call *call, struct score *score)
{
	for (size_t i = 0; i < call->rows; i++) {
		const float *z = call->logits + i * call->outputs;
		size_t target = (size_t)call->targets[i], answer;
		double norm = log_sum_exp(z, call->outputs, &answer);

		score->loss_sum += norm - z[target];
		score->correct += answer == target;
		if (!call->dlogits)
			continue;
		for (size_t j = 0; j < call->outputs; j++)
			call->dlogits[i * call->outputs + j] =
				(float)(exp(z[j] - norm) - (j == target)) * call->scale;
	}
}

const struct loss loss_softmax_cross_entropy = {
	.entry = { .name = "softmax_cross_entropy",
		   .summary = "minus the log probability of the right class" },
	.check = check,
	.evaluate = evaluate,
};
