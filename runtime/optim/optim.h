/* Optimizers and learning-rate schedules. */
#ifndef DSTRAIN_RUNTIME_OPTIM_H
#define DSTRAIN_RUNTIME_OPTIM_H

#include <stddef.h>

#include "lib/opt.h"
#include "lib/registry.h"

struct team;
struct tensor;

enum { OPTIM_SLOTS = 2, OPTIM_SUMS = 2 };

/* One step on a piece of the parameters. */
struct optim_update {
	size_t step;   /* from 0 */
	double lr;     /* of this step */
	double decays; /* 1 where weight decay applies, else 0 */
	float scale;   /* the gradient is this times `grad` */
	size_t count;
	float *weight; /* [count], updated */
	const float *grad;
	float *slot[OPTIM_SLOTS]; /* [count] each, zero before step 0, updated */
	double *sums;		  /* [OPTIM_SUMS], see `measure` */
};

typedef void optim_pass(const void *params, const struct optim_update *update);

struct optimizer {
	struct entry entry; /* every optimizer has an option "lr" of type OPT_REAL, first in its
			       params */
	const char *slot_names[OPTIM_SLOTS]; /* NULL: not used */
	/* Optional, for what depends on whole tensors: called for all pieces before `update`,
	 * leaves the weights, and adds to update->sums, where `update` finds the sums over the
	 * tensor. */
	optim_pass *measure;
	optim_pass *update;
};

struct lr_schedule {
	struct entry entry;
	/* The factor on lr at a step from 0 to steps-1, warm-up apart. */
	double (*factor)(const void *params, size_t step, size_t steps);
};

/* Options beside the optimizer's own in `train.optimizer`. */
enum optim_decay { OPTIM_DECAY_ALL, OPTIM_DECAY_MATRICES };
struct optim_params {
	int decayed; /* enum optim_decay: which tensors weight decay is for */
};
extern const struct opt optim_options[];

/* Options beside the schedule's own in `train.schedule`. */
struct schedule_params {
	size_t warmup; /* steps of linear growth from lr / warmup to lr, before the schedule starts
			*/
};
extern const struct opt schedule_options[];

extern const struct registry optimizers;
extern const struct registry schedules;

/* An optimizer at work: its slots and schedule. All borrowed until optim_free. */
struct optim;
struct optim_env {
	const struct part *optimizer, *schedule;
	const struct optim_params *params;
	const struct schedule_params *schedule_params;
	const struct tensor *tensors; /* in the order of their offsets */
	size_t tensor_count;
	size_t steps;
	double clip;	   /* largest 2-norm of the gradient; 0: no clipping */
	struct team *team; /* may be NULL; no result depends on it */
};

struct optim *optim_new(const struct optim_env *env);
double optim_lr(const struct optim *optim, size_t step);
/* Updates weight; clipping leaves grad as it is. Returns the 2-norm of the gradient before
 * clipping. Statistics (struct tensor) have no part in that, nor in clipping or weight decay. */
double optim_step(struct optim *optim, size_t step, float *weight, const float *grad);
float *optim_slot(struct optim *optim, size_t i, const char **name); /* NULL after the last */
void optim_free(struct optim *optim);				     /* may be NULL */

#endif
