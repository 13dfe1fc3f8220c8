/* What optimizers have to know of tensors and threads: every one in the registry. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/team.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "tests/unit/part.h"

enum { MATRIX = 200 * 250, STATISTIC = 31, BIAS = 200, SMALL = 7 * 11 };
enum { COUNT = MATRIX + STATISTIC + BIAS + SMALL, STEPS = 3 };

#define RATE 0.25

static const struct tensor tensors[] = {
	{ .name = "matrix", .shape = { { 200, 250 }, 2 }, .count = MATRIX },
	{ .name = "statistic",
	  .shape = { { STATISTIC }, 1 },
	  .offset = MATRIX,
	  .count = STATISTIC,
	  .rate = RATE },
	{ .name = "bias", .shape = { { BIAS }, 1 }, .offset = MATRIX + STATISTIC, .count = BIAS },
	{ .name = "small",
	  .shape = { { 7, 11 }, 2 },
	  .offset = MATRIX + STATISTIC + BIAS,
	  .count = SMALL },
};

struct bench {
	struct part optimizer, schedule;
	struct optim_params params;
	struct schedule_params schedule_params;
	struct optim_env env;
	struct optim *optim;
	float *weight, *grad; /* [COUNT] */
	double norm;	      /* of the last step */
};

static void bench_init(struct bench *b, const char *optimizer, const char *const *options)
{
	*b = (struct bench){ .optimizer = part_with(registry_find(&optimizers, optimizer), options),
			     .schedule = part_default(&schedules, "constant"),
			     .weight = filled(COUNT, 1, 0),
			     .grad = filled(COUNT, 2, 0) };
	b->env = (struct optim_env){ .optimizer = &b->optimizer,
				     .schedule = &b->schedule,
				     .params = &b->params,
				     .schedule_params = &b->schedule_params,
				     .tensors = tensors,
				     .tensor_count = ARRAY_SIZE(tensors),
				     .steps = STEPS };
}

static void bench_run(struct bench *b)
{
	b->optim = optim_new(&b->env);
	for (size_t step = 0; step < STEPS; step++)
		b->norm = optim_step(b->optim, step, b->weight, b->grad);
}

static void bench_release(struct bench *b)
{
	optim_free(b->optim);
	part_release(&b->optimizer);
	part_release(&b->schedule);
	free(b->weight);
	free(b->grad);
}

static double length(const float *x, const struct tensor *tensor)
{
	double sum = 0;

	for (size_t i = 0; i < tensor->count; i++)
		sum += (double)x[tensor->offset + i] * x[tensor->offset + i];
	return sqrt(sum);
}

static const char *const decaying[] = { "lr", "0.01", "weight_decay", "0.1", NULL };

static void the_number_of_threads_changes_no_bit(void **state)
{
	struct team *teams[] = { team_new(1), team_new(2), team_new(3) };

	(void)state;
	for (size_t i = 0; optimizers.entries[i]; i++) {
		struct bench alone;

		bench_init(&alone, optimizers.entries[i]->name, decaying);
		alone.env.clip = 1;
		bench_run(&alone);
		for (size_t j = 0; j < ARRAY_SIZE(teams); j++) {
			struct bench b;

			bench_init(&b, optimizers.entries[i]->name, decaying);
			b.env.clip = 1;
			b.env.team = teams[j];
			bench_run(&b);
			assert_true(b.norm == alone.norm);
			assert_memory_equal(b.weight, alone.weight, COUNT * sizeof(float));
			bench_release(&b);
		}
		bench_release(&alone);
	}
	for (size_t j = 0; j < ARRAY_SIZE(teams); j++)
		team_free(teams[j]);
}

/* With clipping and weight decay on, which must not see them. */
static void statistics_follow_their_own_rate_and_touch_nothing_else(void **state)
{
	const struct tensor *statistic = &tensors[1];

	(void)state;
	for (size_t i = 0; optimizers.entries[i]; i++) {
		struct bench b, other;
		double trained;

		bench_init(&b, optimizers.entries[i]->name, decaying);
		bench_init(&other, optimizers.entries[i]->name, decaying);
		b.env.clip = other.env.clip = 1;
		for (size_t j = 0; j < STATISTIC; j++)
			other.grad[statistic->offset + j] *= 100;
		bench_run(&b);
		bench_run(&other);
		trained = hypot(hypot(length(b.grad, &tensors[0]), length(b.grad, &tensors[2])),
				length(b.grad, &tensors[3]));
		assert_true(fabs(b.norm / trained - 1) < 1e-12);
		assert_true(other.norm == b.norm);
		assert_memory_equal(b.weight, other.weight, MATRIX * sizeof(float));
		assert_memory_equal(b.weight + tensors[2].offset, other.weight + tensors[2].offset,
				    (BIAS + SMALL) * sizeof(float));
		fill(other.weight, COUNT, 1, 0);
		for (size_t j = statistic->offset; j < statistic->offset + STATISTIC; j++)
			assert_true(fabs(b.weight[j] -
					 (other.weight[j] - STEPS * RATE * b.grad[j])) < 1e-6);
		bench_release(&b);
		bench_release(&other);
	}
}

static void weight_decay_may_be_for_matrices_alone(void **state)
{
	static const char *const plain[] = { "lr", "0.01", "weight_decay", "0", NULL };

	(void)state;
	for (size_t i = 0; optimizers.entries[i]; i++) {
		struct bench none, matrices, all;

		bench_init(&none, optimizers.entries[i]->name, plain);
		bench_init(&matrices, optimizers.entries[i]->name, decaying);
		bench_init(&all, optimizers.entries[i]->name, decaying);
		matrices.params.decayed = OPTIM_DECAY_MATRICES;
		bench_run(&none);
		bench_run(&matrices);
		bench_run(&all);
		for (size_t j = 0; j < ARRAY_SIZE(tensors); j++) {
			size_t offset = tensors[j].offset, bytes = tensors[j].count * sizeof(float);

			if (tensors[j].rate != 0)
				continue;
			assert_memory_equal(
				matrices.weight + offset,
				(tensors[j].shape.rank < 2 ? &none : &all)->weight + offset, bytes);
			assert_memory_not_equal(none.weight + offset, all.weight + offset, bytes);
		}
		bench_release(&none);
		bench_release(&matrices);
		bench_release(&all);
	}
}

/* Without weight decay; a tensor of zeros goes Adam's way. */
static void a_step_of_lamb_is_as_long_in_each_tensor_as_its_weights_times_lr(void **state)
{
	static const char *const options[] = { "lr", "0.01", "weight_decay", "0", NULL };
	struct bench b;
	float *moved = filled(COUNT, 1, 0);

	(void)state;
	bench_init(&b, "lamb", options);
	for (size_t i = 0; i < SMALL; i++)
		moved[tensors[3].offset + i] = b.weight[tensors[3].offset + i] = 0;
	b.optim = optim_new(&b.env);
	optim_step(b.optim, 0, b.weight, b.grad);
	for (size_t i = 0; i < COUNT; i++)
		moved[i] -= b.weight[i];
	assert_true(fabs(length(moved, &tensors[0]) / length(b.weight, &tensors[0]) - 0.01) < 1e-4);
	assert_true(fabs(length(moved, &tensors[2]) / length(b.weight, &tensors[2]) - 0.01) < 1e-3);
	assert_true(fabs(length(moved, &tensors[3]) / sqrt(SMALL) - 0.01) < 1e-4);
	free(moved);
	bench_release(&b);
}

/* After a gradient, none for so long that what is remembered of it fades away. */
static void what_fades_ends_at_zero(void **state)
{
	static const char *const options[] = { "lr", "0.01", "momentum", "0.5", NULL };
	const char *name;
	struct bench b;

	(void)state;
	bench_init(&b, "sgd", options);
	bench_run(&b);
	memset(b.grad, 0, COUNT * sizeof(float));
	for (size_t step = STEPS; step < 200; step++)
		optim_step(b.optim, 0, b.weight, b.grad);
	assert_true(optim_slot(b.optim, 0, &name)[0] == 0);
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_number_of_threads_changes_no_bit),
		cmocka_unit_test(statistics_follow_their_own_rate_and_touch_nothing_else),
		cmocka_unit_test(weight_decay_may_be_for_matrices_alone),
#ifdef __SSE2__
		cmocka_unit_test(what_fades_ends_at_zero),
#endif
		cmocka_unit_test(a_step_of_lamb_is_as_long_in_each_tensor_as_its_weights_times_lr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
