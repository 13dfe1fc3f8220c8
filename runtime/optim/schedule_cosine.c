/* Half a cosine wave from the full learning rate down (Loshchilov and Hutter, "SGDR", ICLR 2017).
 */
#include <math.h>

#include "runtime/optim/optim.h"

struct cosine_params {
	double floor;
};

static const struct opt options[] = { { "floor", OPT_REAL, offsetof(struct cosine_params, floor),
					"0", "share of the learning rate that is left at the end",
					.min = 0, .max = 1 },
				      { 0 } };

static double factor(const void *params, size_t step, size_t steps)
{
	const struct cosine_params *cosine = params;
	double wave = (1 + cos(acos(-1) * (double)step / (double)steps)) / 2;

	return cosine->floor + (1 - cosine->floor) * wave;
}

const struct lr_schedule schedule_cosine = {
	.entry = { .name = "cosine",
		   .summary = "the learning rate falls along half a cosine wave",
		   .options = options,
		   .params_size = sizeof(struct cosine_params) },
	.factor = factor,
};
