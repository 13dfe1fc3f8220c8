/* Adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1). */
#include "runtime/optim/adam.h"

#include <math.h>

#include "runtime/device/kernels.h"
#include "runtime/optim/optim.h"

static const struct opt options[] = {
	ADAM_OPTIONS("0.001", "1e-8", "0", "times the weights, added to the gradient"), { 0 }
};

/* As PyTorch: w -= lr / (1 - beta1^t) * m / (sqrt(v) / root + eps), where root is
 * sqrt(1 - beta2^t); all but m multiplied by it. */
struct adam_step adam_step(const struct adam_params *params, const struct optim_update *u)
{
	double t = (double)u->step + 1, root = sqrt(1 - pow(params->beta2, t));

	return (struct adam_step){ .scale = u->scale,
				   .lr = (float)(u->lr * root / (1 - pow(params->beta1, t))),
				   .beta1 = (float)params->beta1,
				   .rest1 = (float)(1 - params->beta1),
				   .beta2 = (float)params->beta2,
				   .rest2 = (float)(1 - params->beta2),
				   .shrink = 1,
				   .eps = (float)(params->eps * root) };
}

static void update(const void *params, const struct optim_update *u)
{
	const struct adam_params *adam = params;
	struct adam_step step = adam_step(adam, u);

	step.decay = (float)(u->decays * adam->weight_decay);
	kernels()->adam(&step, u->weight, u->slot[0], u->slot[1], u->grad, u->count);
}

const struct optimizer optimizer_adam = {
	.entry = { .name = "adam",
		   .summary = "steps scaled by running means of gradients and their squares",
		   .options = options,
		   .params_size = sizeof(struct adam_params) },
	.slot_names = { "exp_avg", "exp_avg_sq" },
	.update = update,
};
