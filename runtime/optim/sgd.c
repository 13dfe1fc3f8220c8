/* Stochastic gradient descent with momentum, as PyTorch's: the velocity holds gradients, not steps.
 */
#include <stdbool.h>

#include "runtime/device/kernels.h"
#include "runtime/device/optim_step.h"
#include "runtime/optim/optim.h"

struct sgd_params {
	double lr, momentum, dampening;
	bool nesterov;
	double weight_decay;
};

#define ROW(field) offsetof(struct sgd_params, field)

static const struct opt options[] = {
	{ "lr", OPT_REAL, ROW(lr), "0.1", "learning rate", .min = 1e-12, .max = 1e30 },
	{ "momentum", OPT_REAL, ROW(momentum), "0", "share of the last velocity to keep", .min = 0,
	  .max = 0.9999 },
	{ "dampening", OPT_REAL, ROW(dampening), "0",
	  "share of the gradient that the velocity does not take, but for the first", .min = 0,
	  .max = 1 },
	{ "nesterov", OPT_BOOL, ROW(nesterov), "no", "look one step ahead along the velocity" },
	{ "weight_decay", OPT_REAL, ROW(weight_decay), "0",
	  "times the weights, added to the gradient", .min = 0, .max = 1e6 },
	{ 0 }
};

static void update(const void *params, const struct optim_update *u)
{
	const struct sgd_params *sgd = params;
	struct sgd_step step = {
		.scale = u->scale,
		.decay = (float)(u->decays * sgd->weight_decay),
		.lr = (float)u->lr,
		.momentum = (float)sgd->momentum,
		.rest = u->step == 0 ? 1 : (float)(1 - sgd->dampening),
		.of_gradient = sgd->nesterov ? 1 : 0,
		.of_velocity = sgd->nesterov ? (float)sgd->momentum : 1,
	};

	if (sgd->momentum == 0)
		kernels()->sgd(&step, u->weight, u->grad, u->count);
	else
		kernels()->sgd_momentum(&step, u->weight, u->slot[0], u->grad, u->count);
}

const struct optimizer optimizer_sgd = {
	.entry = { .name = "sgd",
		   .summary = "stochastic gradient descent, with momentum if asked for",
		   .options = options,
		   .params_size = sizeof(struct sgd_params) },
	.slot_names = { "momentum" },
	.update = update,
};
