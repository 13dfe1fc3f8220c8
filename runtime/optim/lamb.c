/*
 * LAMB: Adam's direction, as long in every tensor as the tensor itself times the learning rate (You
 * et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020,
 * algorithm 2, with phi the identity).
 */
#include <math.h>

#include "runtime/device/kernels.h"
#include "runtime/optim/adam.h"
#include "runtime/optim/optim.h"

static const struct opt options[] = {
	ADAM_OPTIONS("0.001", "1e-6", "0.01", "times the weights, added to the direction"), { 0 }
};

static struct lamb_step lamb_step(const struct adam_params *params, const struct optim_update *u)
{
	double t = (double)u->step + 1, root = sqrt(1 - pow(params->beta2, t));

	return (struct lamb_step){ .scale = u->scale,
				   .decay = (float)(u->decays * params->weight_decay),
				   .beta1 = (float)params->beta1,
				   .rest1 = (float)(1 - params->beta1),
				   .beta2 = (float)params->beta2,
				   .rest2 = (float)(1 - params->beta2),
				   .correction = (float)(root / (1 - pow(params->beta1, t))),
				   .eps = (float)(params->eps * root) };
}

static void measure(const void *params, const struct optim_update *u)
{
	struct lamb_step step = lamb_step(params, u);

	kernels()->lamb_measure(&step, u->weight, u->slot[0], u->slot[1], u->grad, u->count,
				u->sums);
}

/* A tensor without length, such as a bias that begins at 0, takes the direction as it is. */
static void update(const void *params, const struct optim_update *u)
{
	struct lamb_step step = lamb_step(params, u);
	double weight = sqrt(u->sums[0]), direction = sqrt(u->sums[1]);
	double trust = weight == 0 || direction == 0 ? 1 : weight / direction;

	step.lr = (float)(u->lr * trust);
	kernels()->lamb(&step, u->weight, u->slot[0], u->slot[1], u->count);
}

const struct optimizer optimizer_lamb = {
	.entry = { .name = "lamb",
		   .summary = "adam's direction, in each tensor as long as its weights, for large "
			      "batches",
		   .options = options,
		   .params_size = sizeof(struct adam_params) },
	.slot_names = { "exp_avg", "exp_avg_sq" },
	.measure = measure,
	.update = update,
};
