/* How long a rank's own part of a training step takes: what a plan cannot know from links. */
#include "runtime/calibrate.h"

#include <stdlib.h>

#include "lib/clock.h"
#include "runtime/feed.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "runtime/outfit.h"

enum { COLD = 2, LEAST = 3, MOST = 64 };
static const double ENOUGH_S = 0.3;

static void ignore(void *arg, size_t offset, size_t count)
{
	(void)arg;
	(void)offset;
	(void)count;
}

static double train_step(const struct outfit *outfit, size_t step)
{
	double begin = clock_now();
	const struct batch *batch = feed_step(outfit->feed, step);
	struct score score = { 0 };

	model_forward(outfit->model, outfit->weight, batch, &score);
	model_backward(outfit->model, outfit->weight, batch, outfit->grad, ignore, NULL);
	optim_step(outfit->optim, step, outfit->weight, outfit->grad);
	return clock_now() - begin;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int calibrate(const struct outfit_env *env, double *step_s, struct error *err)
{
	struct outfit outfit = { 0 };
	double seconds[MOST], spent = 0;
	size_t count = 0;
	int status = outfit_build(&outfit, env, err);

	/* The first ones meet cold caches, and memory that nobody has touched. */
	for (size_t step = 0; status == 0 && step < COLD; step++)
		train_step(&outfit, step);
	for (; status == 0 && count < MOST && (count < LEAST || spent < ENOUGH_S); count++) {
		seconds[count] = train_step(&outfit, COLD + count);
		spent += seconds[count];
	}
	outfit_release(&outfit);
	if (status < 0)
		return -1;
	qsort(seconds, count, sizeof(*seconds), compare);
	*step_s = seconds[count / 2];
	return 0;
}
