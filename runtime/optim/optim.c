/* An optimizer at work: its slots, its learning rate at each step, and clipping. */
#include "runtime/optim/optim.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/device/denormal.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/model/model.h"

/* What one thread does at a time: gradient and all else of it stay in the second cache. */
enum { PIECE = 8192 };

struct piece {
	size_t offset, count;
	size_t first;  /* piece of the same tensor */
	double decays; /* as in struct optim_update */
	double squares, sums[OPTIM_SUMS];
};

struct optim {
	struct optim_env env;
	const struct optimizer *optimizer;
	const struct lr_schedule *schedule;
	float *slot[OPTIM_SLOTS]; /* [parameters], owned; NULL: not used */
	struct piece *pieces;	  /* of all that is trained; owned */
	size_t piece_count;
};

/* A pass over all pieces. */
struct pass {
	struct optim *optim;
	optim_pass *call; /* NULL: none */
	bool squares;	  /* sum up those of the gradient, too */
	struct optim_update update;
};

static const char *const decay_names[] = { "all", "matrices", NULL };

const struct opt optim_options[] = {
	{ "decay", OPT_CHOICE, offsetof(struct optim_params, decayed), "all",
	  "what weight_decay is for: all, or tensors of two dimensions and more",
	  .choices = decay_names },
	{ 0 }
};

const struct opt schedule_options[] = { { "warmup", OPT_COUNT,
					  offsetof(struct schedule_params, warmup), "0",
					  "steps in which the learning rate grows from near 0" },
					{ 0 } };

static void cut(struct optim *optim, size_t offset, size_t count, double decays)
{
	size_t first = optim->piece_count, length;

	for (; count > 0; offset += length, count -= length) {
		length = count < PIECE ? count : PIECE;
		optim->pieces = xgrow(optim->pieces, optim->piece_count, sizeof(*optim->pieces));
		optim->pieces[optim->piece_count++] = (struct piece){
			.offset = offset, .count = length, .first = first, .decays = decays
		};
	}
}

static double decays_of(const struct optim *optim, const struct tensor *tensor)
{
	return optim->env.params->decayed == OPTIM_DECAY_ALL || tensor->shape.rank >= 2 ? 1 : 0;
}

/* Tensors that adjoin are one unless the optimizer has to tell them apart. */
static bool belongs(const struct optim *optim, const struct tensor *first, size_t count,
		    const struct tensor *next)
{
	return !optim->optimizer->measure && next->rate == 0 &&
	       next->offset == first->offset + count &&
	       decays_of(optim, next) == decays_of(optim, first);
}

static void cut_all(struct optim *optim)
{
	const struct tensor *tensors = optim->env.tensors;

	for (size_t i = 0, end; i < optim->env.tensor_count; i = end) {
		size_t count = tensors[i].count;

		end = i + 1;
		if (tensors[i].rate != 0)
			continue;
		for (; end < optim->env.tensor_count &&
		       belongs(optim, &tensors[i], count, &tensors[end]);
		     end++)
			count += tensors[end].count;
		cut(optim, tensors[i].offset, count, decays_of(optim, &tensors[i]));
	}
}

struct optim *optim_new(const struct optim_env *env)
{
	struct optim *optim = xcalloc(1, sizeof(*optim));
	size_t count = 0;

	optim->env = *env;
	optim->optimizer = PART_AS(env->optimizer, struct optimizer);
	optim->schedule = PART_AS(env->schedule, struct lr_schedule);
	for (size_t i = 0; i < env->tensor_count; i++)
		count = env->tensors[i].offset + env->tensors[i].count;
	for (size_t i = 0; i < OPTIM_SLOTS; i++)
		if (optim->optimizer->slot_names[i])
			optim->slot[i] = xaligned(count * sizeof(float));
	cut_all(optim);
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

static void pass_piece(void *arg, size_t chunk, size_t member)
{
	const struct pass *pass = arg;
	struct optim *optim = pass->optim;
	struct piece *piece = &optim->pieces[chunk];
	struct optim_update update = pass->update;
	unsigned before = denormal_flush();

	(void)member;
	update.decays = piece->decays;
	update.count = piece->count;
	update.weight += piece->offset;
	update.grad += piece->offset;
	for (size_t i = 0; i < OPTIM_SLOTS; i++)
		update.slot[i] = optim->slot[i] ? optim->slot[i] + piece->offset : NULL;
	update.sums = pass->call == optim->optimizer->measure ? piece->sums
							      : optim->pieces[piece->first].sums;
	if (pass->squares)
		piece->squares = kernels()->sum_squares(update.grad, piece->count);
	if (pass->call)
		pass->call(optim->env.optimizer->params, &update);
	denormal_restore(before);
}

static void pass_all(struct pass *pass, optim_pass *call)
{
	pass->call = call;
	team_run(pass->optim->env.team, pass->optim->piece_count, pass_piece, pass);
	pass->squares = false;
}

static double norm_of(const struct optim *optim)
{
	double sum = 0;

	for (size_t i = 0; i < optim->piece_count; i++)
		sum += optim->pieces[i].squares;
	return sqrt(sum);
}

/* PyTorch's clip_grad_norm_, with its 1e-6. */
static float clip(double most, double norm)
{
	double factor = most / (norm + 1e-6);

	return factor < 1 ? (float)factor : 1;
}

/* Each tensor's sums, in its first piece. */
static void measure(struct pass *pass)
{
	struct piece *pieces = pass->optim->pieces;
	size_t count = pass->optim->piece_count;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < OPTIM_SUMS; j++)
			pieces[i].sums[j] = 0;
	pass_all(pass, pass->optim->optimizer->measure);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < OPTIM_SUMS && pieces[i].first != i; j++)
			pieces[pieces[i].first].sums[j] += pieces[i].sums[j];
}

static void follow_statistics(const struct optim_env *env, float *weight, const float *grad)
{
	for (size_t i = 0; i < env->tensor_count; i++) {
		const struct tensor *tensor = &env->tensors[i];

		if (tensor->rate != 0)
			cpu_axpy(weight + tensor->offset, (float)-tensor->rate,
				 grad + tensor->offset, tensor->count);
	}
}

double optim_step(struct optim *optim, size_t step, float *weight, const float *grad)
{
	struct pass pass = { .optim = optim,
			     .squares = true,
			     .update = { .step = step,
					 .lr = optim_lr(optim, step),
					 .scale = 1,
					 .weight = weight,
					 .grad = grad } };

	if (optim->env.clip > 0) {
		pass_all(&pass, NULL);
		pass.update.scale = clip(optim->env.clip, norm_of(optim));
	}
	if (optim->optimizer->measure)
		measure(&pass);
	pass_all(&pass, optim->optimizer->update);
	follow_statistics(&optim->env, weight, grad);
	return norm_of(optim);
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
	free(optim->pieces);
	free(optim);
}
