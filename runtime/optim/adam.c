/* Adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1). */
#include "runtime/optim/adam.h"

#include <math.h>

#include "runtime/optim/optim.h"

static const struct opt options[] = {
	{ "lr", OPT_REAL, offsetof(struct adam_params, lr), "0.001", "learning rate", .min = 1e-12,
	  .max = 1e6 },
	{ "beta1", OPT_REAL, offsetof(struct adam_params, beta1), "0.9",
	  "share of the mean gradient to keep", .min = 0, .max = 0.999999 },
	{ "beta2", OPT_REAL, offsetof(struct adam_params, beta2), "0.999",
	  "share of the mean square to keep", .min = 0, .max = 0.999999 },
	{ "eps", OPT_REAL, offsetof(struct adam_params, eps), "1e-8", "keeps the divisor above 0",
	  .min = 1e-20, .max = 1 },
	{ "weight_decay", OPT_REAL, offsetof(struct adam_params, weight_decay), "0",
	  "times the weights, added to the gradient", .min = 0, .max = 1e6 },
	{ 0 }
};

/* As PyTorch: w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps) */
void adam_update(const struct adam_params *params, float decay, const struct optim_update *u)
{
	double t = (double)u->step + 1;
	float beta1 = (float)params->beta1, rest1 = (float)(1 - params->beta1);
	float beta2 = (float)params->beta2, rest2 = (float)(1 - params->beta2);
	float lr = (float)(u->lr / (1 - pow(params->beta1, t)));
	float root = (float)sqrt(1 - pow(params->beta2, t)), eps = (float)params->eps;
	float *w = u->weight, *mean = u->slot[0], *mean_square = u->slot[1];

	for (size_t i = 0; i < u->count; i++) {
		float g = u->grad[i] + decay * w[i];
		float m = beta1 * mean[i] + rest1 * g;
		float v = beta2 * mean_square[i] + rest2 * g * g;

		mean[i] = m;
		mean_square[i] = v;
		w[i] -= lr * m / (sqrtf(v) / root + eps);
	}
}

static void update(const void *params, const struct optim_update *u)
{
	const struct adam_params *adam = params;

	adam_update(adam, (float)adam->weight_decay, u);
}

const struct optimizer optimizer_adam = {
	.entry = { .name = "adam",
		   .summary = "steps scaled by running means of gradients and their squares",
		   .options = options,
		   .params_size = sizeof(struct adam_params) },
	.slot_names = { "exp_avg", "exp_avg_sq" },
	.update = update,
};
