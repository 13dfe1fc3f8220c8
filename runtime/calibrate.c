/* How long a rank's own part of a training step takes. */
#include "runtime/calibrate.h"

#include "lib/clock.h"
#include "lib/numbers.h"
#include "runtime/data/data.h"
#include "runtime/feed.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/outfit.h"

/* The first steps find caches cold. */
enum { WARM = 2, MOST = 64 };

static const double MOMENT_S = 0.3;

static void ignore(void *arg, size_t offset, size_t count)
{
	(void)arg;
	(void)offset;
	(void)count;
}

static double step(const struct outfit *outfit, size_t number)
{
	double begun = clock_now();
	const struct batch *batch = feed_step(outfit->feed, number);
	struct score score = { 0 };

	model_forward(outfit->model, outfit->weight, batch, &score);
	model_backward(outfit->model, outfit->weight, batch, outfit->grad, ignore, NULL);
	optim_step(outfit->optim, number, outfit->weight, outfit->grad);
	return clock_now() - begun;
}

int calibrate(const struct outfit_env *env, double *step_s, struct error *err)
{
	struct outfit outfit = { 0 };
	double seconds[MOST], begun;
	size_t count = 0;
	int status = outfit_build(&outfit, env, err);

	if (status == 0) {
		begun = clock_now();
		for (size_t i = 0; i < WARM; i++)
			step(&outfit, i);
		do {
			seconds[count] = step(&outfit, WARM + count);
			count++;
		} while (count < MOST && clock_now() < begun + MOMENT_S);
		*step_s = numbers_median(seconds, count);
	}
	outfit_release(&outfit);
	return status;
}
