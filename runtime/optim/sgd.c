/* Stochastic gradient descent with momentum, as PyTorch's: the velocity holds gradients, not steps.
 */
#include <stdbool.h>

#include "runtime/optim/optim.h"

struct sgd_params {
	double lr, momentum;
	bool nesterov;
	double weight_decay;
};

static const struct opt options[] = {
	{ "lr", OPT_REAL, offsetof(struct sgd_params, lr), "0.1", "learning rate", .min = 1e-12,
	  .max = 1e6 },
	{ "momentum", OPT_REAL, offsetof(struct sgd_params, momentum), "0",
	  "share of the last velocity to keep", .min = 0, .max = 0.9999 },
	{ "nesterov", OPT_BOOL, offsetof(struct sgd_params, nesterov), "no",
	  "look one step ahead along the velocity" },
	{ "weight_decay", OPT_REAL, offsetof(struct sgd_params, weight_decay), "0",
	  "times the weights, added to the gradient", .min = 0, .max = 1e6 },
	{ 0 }
};

static void update_plain(float lr, float decay, const struct optim_update *u)
{
	float *w = u->weight;

	for (size_t i = 0; i < u->count; i++)
		w[i] -= lr * (u->grad[i] + decay * w[i]);
}

/* g += decay w; v = momentum v + g; w -= lr (v, or g + momentum v with Nesterov) */
static void update(const void *params, const struct optim_update *u)
{
	const struct sgd_params *sgd = params;
	float lr = (float)u->lr, decay = (float)sgd->weight_decay, momentum = (float)sgd->momentum;
	float of_gradient = sgd->nesterov ? 1 : 0, of_velocity = sgd->nesterov ? momentum : 1;
	float *w = u->weight, *velocity = u->slot[0];

	if (sgd->momentum == 0) {
		update_plain(lr, decay, u);
		return;
	}
	for (size_t i = 0; i < u->count; i++) {
		float g = u->grad[i] + decay * w[i];
		float v = momentum * velocity[i] + g;

		velocity[i] = v;
		w[i] -= lr * (of_gradient * g + of_velocity * v);
	}
}

const struct optimizer optimizer_sgd = {
	.entry = { .name = "sgd",
		   .summary = "stochastic gradient descent, with momentum if asked for",
		   .options = options,
		   .params_size = sizeof(struct sgd_params) },
	.slot_names = { "momentum" },
	.update = update,
};
