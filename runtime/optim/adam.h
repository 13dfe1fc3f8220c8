/* What Adam and AdamW share. */
#ifndef DSTRAIN_RUNTIME_ADAM_H
#define DSTRAIN_RUNTIME_ADAM_H

struct optim_update;

struct adam_params {
	double lr, beta1, beta2, eps, weight_decay;
};

/* One step on `gradient + decay * weight`. */
void adam_update(const struct adam_params *params, float decay, const struct optim_update *update);

#endif
