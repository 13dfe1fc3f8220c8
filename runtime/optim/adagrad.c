/* Adagrad (Duchi, Hazan and Singer, JMLR 2011), as PyTorch's. */
#include "runtime/device/kernels.h"
#include "runtime/device/optim_step.h"
#include "runtime/optim/optim.h"

struct adagrad_params {
	double lr, lr_decay, weight_decay, initial_accumulator, eps;
};

#define ROW(field) offsetof(struct adagrad_params, field)

static const struct opt options[] = {
	{ "lr", OPT_REAL, ROW(lr), "0.01", "learning rate", .min = 1e-12, .max = 1e30 },
	{ "lr_decay", OPT_REAL, ROW(lr_decay), "0",
	  "lr is divided by 1 + this times the steps before", .min = 0, .max = 1e6 },
	{ "weight_decay", OPT_REAL, ROW(weight_decay), "0",
	  "times the weights, added to the gradient", .min = 0, .max = 1e6 },
	{ "initial_accumulator", OPT_REAL, ROW(initial_accumulator), "0",
	  "what the sums of squares begin with", .min = 0, .max = 1e30 },
	{ "eps", OPT_REAL, ROW(eps), "1e-10", "keeps the divisor above 0", .min = 1e-20, .max = 1 },
	{ 0 }
};

static void update(const void *params, const struct optim_update *u)
{
	const struct adagrad_params *adagrad = params;
	struct adagrad_step step = {
		.scale = u->scale,
		.decay = (float)(u->decays * adagrad->weight_decay),
		.lr = (float)(u->lr / (1 + (double)u->step * adagrad->lr_decay)),
		.initial = u->step == 0 ? (float)adagrad->initial_accumulator : 0,
		.eps = (float)adagrad->eps,
	};

	kernels()->adagrad(&step, u->weight, u->slot[0], u->grad, u->count);
}

const struct optimizer optimizer_adagrad = {
	.entry = { .name = "adagrad",
		   .summary = "steps scaled by the sum of all squared gradients, for sparse data",
		   .options = options,
		   .params_size = sizeof(struct adagrad_params) },
	.slot_names = { "sum" },
	.update = update,
};
