/* Times steps of one optimizer: optim NAME PARAMETERS THREADS [KEY VALUE]... prints the best step's
 * seconds, and the seconds of a copy of as many floats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/memory.h"
#include "runtime/device/team.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "tests/bench/part.h"

#define TIME_S 0.5

static double less(double a, double b)
{
	return a < b ? a : b;
}

int main(int argc, char **argv)
{
	char *none[] = { NULL };
	size_t count = argc > 3 ? number(argv[2]) : 0;
	float *weight = xaligned(count * sizeof(float)), *grad = xaligned(count * sizeof(float));
	double step_s = 1e9, copy_s = 1e9, end;
	struct tensor tensor = { .shape = { { count }, 1 }, .count = count };
	struct optim_params params = { 0 };
	struct schedule_params schedule_params = { 0 };
	struct part optimizer, schedule = make_part(&schedules, "constant", none);
	struct optim_env env = { .schedule = &schedule,
				 .params = &params,
				 .schedule_params = &schedule_params,
				 .tensors = &tensor,
				 .tensor_count = 1,
				 .steps = 1 };
	struct optim *optim;

	if (!count) {
		fprintf(stderr, "usage: optim NAME PARAMETERS THREADS [KEY VALUE]...\n");
		return 2;
	}
	optimizer = make_part(&optimizers, argv[1], argv + 4);
	env.optimizer = &optimizer;
	env.team = team_new(number(argv[3]));
	optim = optim_new(&env);
	for (size_t i = 0; i < count; i++)
		weight[i] = (float)(i % 1009) / 1009, grad[i] = (float)(i % 997) / 997 - 0.5f;
	end = clock_now() + TIME_S;
	for (size_t step = 0; clock_now() < end; step++) {
		double begun = clock_now();

		optim_step(optim, step, weight, grad);
		step_s = less(step_s, clock_now() - begun);
	}
	end = clock_now() + TIME_S / 5;
	while (clock_now() < end) {
		double begun = clock_now();

		memcpy(weight, grad, count * sizeof(float));
		copy_s = less(copy_s, clock_now() - begun);
	}
	printf("%.9f %.9f\n", step_s, copy_s);
	optim_free(optim);
	team_free(env.team);
	part_release(&optimizer);
	part_release(&schedule);
	free(weight);
	free(grad);
	return 0;
}
