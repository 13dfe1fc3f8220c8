/* AdamW: Adam with a weight decay of its own (Loshchilov and Hutter, ICLR 2019, algorithm 2). */
#include "runtime/device/cpu.h"
#include "runtime/optim/adam.h"
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
	{ "weight_decay", OPT_REAL, offsetof(struct adam_params, weight_decay), "0.01",
	  "times lr: the share that weights lose in a step", .min = 0, .max = 1e6 },
	{ 0 }
};

static void update(const void *params, const struct optim_update *u)
{
	const struct adam_params *adamw = params;

	cpu_scale(u->weight, (float)(1 - u->lr * adamw->weight_decay), u->count);
	adam_update(adamw, 0, u);
}

const struct optimizer optimizer_adamw = {
	.entry = { .name = "adamw",
		   .summary = "adam whose weight decay the running means do not see",
		   .options = options,
		   .params_size = sizeof(struct adam_params) },
	.slot_names = { "exp_avg", "exp_avg_sq" },
	.update = update,
};
