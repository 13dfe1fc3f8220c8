/* The learning rate falls by a factor every so many steps. */
#include <math.h>

#include "runtime/optim/optim.h"

struct step_params {
	size_t every;
	double gamma;
};

static const struct opt options[] = { { "every", OPT_COUNT, offsetof(struct step_params, every),
					"1000", "steps from one fall to the next", .min = 1,
					.max = 1e12 },
				      { "gamma", OPT_REAL, offsetof(struct step_params, gamma),
					"0.1", "what it falls to", .min = 0, .max = 1 },
				      { 0 } };

static double factor(const void *params, size_t step, size_t steps)
{
	const struct step_params *schedule = params;

	(void)steps;
	return pow(schedule->gamma, (double)(step / schedule->every));
}

const struct lr_schedule schedule_step = {
	.entry = { .name = "step",
		   .summary = "the learning rate falls by a factor every so many steps",
		   .options = options,
		   .params_size = sizeof(struct step_params) },
	.factor = factor,
};
