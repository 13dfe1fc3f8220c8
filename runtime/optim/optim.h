/* Optimizers and learning-rate schedules. */
#ifndef DSTRAIN_RUNTIME_OPTIM_H
#define DSTRAIN_RUNTIME_OPTIM_H

#include <stddef.h>

#include "lib/opt.h"
#include "lib/registry.h"

enum { OPTIM_SLOTS = 2 };

struct optim_update {
	size_t step; /* from 0 */
	double lr;   /* of this step */
	size_t count;
	float *weight; /* [count], updated */
	const float *grad;
	float *slot[OPTIM_SLOTS]; /* [count] each, zero before step 0, updated */
};

struct optimizer {
	struct entry entry; /* every optimizer has an option "lr" of type OPT_REAL, first in its
			       params */
	const char *slot_names[OPTIM_SLOTS]; /* NULL: not used */
	void (*update)(const void *params, const struct optim_update *update);
};

struct schedule {
	struct entry entry;
	/* The factor on lr at a step from 0 to steps-1, warm-up apart. */
	double (*factor)(const void *params, size_t step, size_t steps);
};

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
	const struct schedule_params *schedule_params;
	size_t count, steps;
	double clip; /* largest 2-norm of the gradient; 0: no clipping */
};

struct optim *optim_new(const struct optim_env *env);
double optim_lr(const struct optim *optim, size_t step);
/* Clips grad in place, then updates weight. Returns the gradient's 2-norm before clipping. */
double optim_step(struct optim *optim, size_t step, float *weight, float *grad);
float *optim_slot(struct optim *optim, size_t i, const char **name); /* NULL after the last */
void optim_free(struct optim *optim);				     /* may be NULL */

#endif
