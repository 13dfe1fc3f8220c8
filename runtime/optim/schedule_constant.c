/* The same learning rate at every step. */
#include "runtime/optim/optim.h"

static double factor(const void *params, size_t step, size_t steps)
{
	(void)params;
	(void)step;
	(void)steps;
	return 1;
}

const struct lr_schedule schedule_constant = {
	.entry = { .name = "constant", .summary = "the same learning rate at every step" },
	.factor = factor,
};
