/* An optimizer at work: its slots, its learning rate at each step, and clipping. */
#include "runtime/optim/optim.h"

#include <math.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"

struct optim {
	struct optim_env env;
	const struct optimizer *optimizer;
	const struct schedule *schedule;
	float *slot[OPTIM_SLOTS]; /* [env.count], owned; NULL: not used */
};

const struct opt schedule_options[] = { { "warmup", OPT_COUNT,
					  offsetof(struct schedule_params, warmup), "0",
					  "steps in which the learning rate grows from near 0" },
					{ 0 } };

struct optim *optim_new(const struct optim_env *env)
{
	struct optim *optim = xcalloc(1, sizeof(*optim));

	optim->env = *env;
	optim->optimizer = PART_AS(env->optimizer, struct optimizer);
	optim->schedule = PART_AS(env->schedule, struct schedule);
	for (size_t i = 0; i < OPTIM_SLOTS; i++)
		if (optim->optimizer->slot_names[i])
			optim->slot[i] = xaligned(env->count * sizeof(float));
	return optim;
}

double optim_lr(const struct optim *optim, size_t step)
{
	const struct optim_env *env = &optim->env;
	double base = *(const double *)env->optimizer->params;
	size_t warmup = env->schedule_params->warmup;

	if (step < warmup)
		return base * (double)(step + 1) / (double)warmup;
	return base *
	       optim->schedule->factor(env->schedule->params, step - warmup, env->steps - warmup);
}

/* PyTorch's clip_grad_norm_, with its 1e-6. */
static void clip(const struct optim_env *env, double norm, float *grad)
{
	double factor = env->clip / (norm + 1e-6);

	if (env->clip > 0 && factor < 1)
		cpu_scale(grad, (float)factor, env->count);
}

double optim_step(struct optim *optim, size_t step, float *weight, float *grad)
{
	struct optim_update update = {
		.step = step,
		.lr = optim_lr(optim, step),
		.count = optim->env.count,
		.weight = weight,
		.grad = grad,
	};
	double norm = sqrt(cpu_sum_squares(grad, optim->env.count));

	clip(&optim->env, norm, grad);
	for (size_t i = 0; i < OPTIM_SLOTS; i++)
		update.slot[i] = optim->slot[i];
	optim->optimizer->update(optim->env.optimizer->params, &update);
	return norm;
}

float *optim_slot(struct optim *optim, size_t i, const char **name)
{
	if (i >= OPTIM_SLOTS || !optim->slot[i])
		return NULL;
	*name = optim->optimizer->slot_names[i];
	return optim->slot[i];
}

void optim_free(struct optim *optim)
{
	if (!optim)
		return;
	for (size_t i = 0; i < OPTIM_SLOTS; i++)
		free(optim->slot[i]);
	free(optim);
}
