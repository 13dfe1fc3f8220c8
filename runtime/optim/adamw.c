/* AdamW: Adam with a weight decay of its own (Loshchilov and Hutter, ICLR 2019, algorithm 2). */
#include "runtime/device/kernels.h"
#include "runtime/optim/adam.h"
#include "runtime/optim/optim.h"

static const struct opt options[] = { ADAM_OPTIONS("0.001", "1e-8", "0.01",
						   "times lr: the share that weights lose in a "
						   "step"),
				      { 0 } };

static void update(const void *params, const struct optim_update *u)
{
	const struct adam_params *adamw = params;
	struct adam_step step = adam_step(adamw, u);

	step.shrink = (float)(1 - u->lr * u->decays * adamw->weight_decay);
	kernels()->adam(&step, u->weight, u->slot[0], u->slot[1], u->grad, u->count);
}

const struct optimizer optimizer_adamw = {
	.entry = { .name = "adamw",
		   .summary = "adam whose weight decay the running means do not see",
		   .options = options,
		   .params_size = sizeof(struct adam_params) },
	.slot_names = { "exp_avg", "exp_avg_sq" },
	.update = update,
};
