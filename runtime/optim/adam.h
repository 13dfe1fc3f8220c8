/* What Adam and those that grew out of it share. */
#ifndef DSTRAIN_RUNTIME_ADAM_H
#define DSTRAIN_RUNTIME_ADAM_H

#include "runtime/device/optim_step.h"

struct optim_update;

struct adam_params {
	double lr, beta1, beta2, eps, weight_decay;
};

/* clang-format off */
#define ADAM_OPTIONS(lr_default, eps_default, decay_default, decay_summary) \
	{ "lr", OPT_REAL, offsetof(struct adam_params, lr), lr_default, "learning rate", \
	  .min = 1e-12, .max = 1e30 }, \
	{ "beta1", OPT_REAL, offsetof(struct adam_params, beta1), "0.9", \
	  "share of the mean gradient to keep", .min = 0, .max = 0.999999 }, \
	{ "beta2", OPT_REAL, offsetof(struct adam_params, beta2), "0.999", \
	  "share of the mean square to keep", .min = 0, .max = 0.999999 }, \
	{ "eps", OPT_REAL, offsetof(struct adam_params, eps), eps_default, \
	  "keeps the divisor above 0", .min = 1e-20, .max = 1 }, \
	{ "weight_decay", OPT_REAL, offsetof(struct adam_params, weight_decay), decay_default, \
	  decay_summary, .min = 0, .max = 1e6 }
/* clang-format on */

/* A step without weight decay. */
struct adam_step adam_step(const struct adam_params *params, const struct optim_update *update);

#endif
