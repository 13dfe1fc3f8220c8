/* Every optimizer in the registry: it finds a minimum, and its slots are all that it remembers. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "tests/unit/part.h"

enum { COUNT = 37 };

static const char *const quick[] = { "lr", "0.05", NULL };

/* Options that change what an optimizer does; all are tried with theirs by default too. */
static const struct {
	const char *optimizer, *options[9];
} variants[] = {
	{ "sgd", { "lr", "0.05", "momentum", "0.9" } },
	{ "sgd", { "lr", "0.05", "momentum", "0.9", "nesterov", "yes" } },
	{ "sgd", { "lr", "0.05", "momentum", "0.5", "weight_decay", "1e-3" } },
	{ "adam", { "lr", "0.05", "weight_decay", "1e-3" } },
	{ "sgd", { "lr", "0.05", "momentum", "0.9", "dampening", "0.3" } },
	{ "adamw", { "lr", "0.05", "weight_decay", "1e-3", "beta1", "0.8" } },
	{ "adagrad", { "lr", "0.05", "weight_decay", "1e-3", "lr_decay", "1e-4" } },
	{ "adagrad", { "lr", "0.05", "initial_accumulator", "0.1" } },
	{ "lamb", { "lr", "0.05", "weight_decay", "1e-3" } },
};

struct bench {
	struct part optimizer, schedule;
	struct optim_params params;
	struct schedule_params schedule_params;
	struct tensor tensors[2];
	struct optim_env env;
	struct optim *optim;
	float weight[COUNT], grad[COUNT], target[COUNT];
};

static void bench_init(struct bench *b, const struct entry *entry, const char *const *options)
{
	*b = (struct bench){ .optimizer = part_with(entry, options),
			     .schedule = part_default(&schedules, "cosine"),
			     .tensors = { { .shape = { .dim = { 5, 6 }, .rank = 2 }, .count = 30 },
					  { .shape = { .dim = { 7 }, .rank = 1 },
					    .offset = 30,
					    .count = COUNT - 30 } } };
	b->env = (struct optim_env){ .optimizer = &b->optimizer,
				     .schedule = &b->schedule,
				     .params = &b->params,
				     .schedule_params = &b->schedule_params,
				     .tensors = b->tensors,
				     .tensor_count = ARRAY_SIZE(b->tensors),
				     .steps = 1000 };
	b->optim = optim_new(&b->env);
	fill(b->weight, COUNT, 1, 0);
	fill(b->target, COUNT, 2, 0);
}

static void bench_release(struct bench *b)
{
	optim_free(b->optim);
	part_release(&b->optimizer);
	part_release(&b->schedule);
}

typedef void visit(struct bench *bench);

static void visit_one(visit *check, const struct entry *entry, const char *const *options)
{
	struct bench b;

	bench_init(&b, entry, options);
	check(&b);
	bench_release(&b);
}

static void for_each(visit *check)
{
	for (size_t i = 0; optimizers.entries[i]; i++)
		visit_one(check, optimizers.entries[i], quick);
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++)
		visit_one(check, registry_find(&optimizers, variants[i].optimizer),
			  variants[i].options);
}

/* sum of a_i (w_i - target_i)^2 / 2, with a from 0.1 to 1; fills grad. */
static double bowl(struct bench *b)
{
	double sum = 0;

	for (size_t i = 0; i < COUNT; i++) {
		float a = 0.1f + 0.9f * (float)i / (COUNT - 1), miss = b->weight[i] - b->target[i];

		b->grad[i] = a * miss;
		sum += 0.5 * (double)(a * miss * miss);
	}
	return sum;
}

static void run(struct bench *b, size_t from, size_t to)
{
	for (size_t step = from; step < to; step++) {
		bowl(b);
		optim_step(b->optim, step, b->weight, b->grad);
	}
}

static void descend(struct bench *b)
{
	double before = bowl(b);

	run(b, 0, 1000);
	assert_true(bowl(b) < 1e-3 * before);
}

static void every_optimizer_finds_the_minimum_of_a_bowl(void **state)
{
	(void)state;
	for_each(descend);
}

static void inspect_slots(struct bench *b)
{
	const char *name = NULL;
	size_t i = 0;

	for (float *slot; (slot = optim_slot(b->optim, i, &name)); i++) {
		assert_true(name && name[0]);
		for (size_t j = 0; j < COUNT; j++)
			assert_true(slot[j] == 0);
	}
	assert_true(i <= OPTIM_SLOTS);
	assert_null(optim_slot(b->optim, OPTIM_SLOTS, &name));
}

static void slots_have_names_and_start_at_zero(void **state)
{
	(void)state;
	for_each(inspect_slots);
}

/* Weights and slots moved to a new optimizer at step 7. */
static void interrupt(struct bench *b)
{
	struct bench fresh = *b;
	const char *name;
	float *slot;

	fresh.optim = optim_new(&fresh.env);
	run(b, 0, 7);
	memcpy(fresh.weight, b->weight, sizeof(fresh.weight));
	for (size_t i = 0; (slot = optim_slot(fresh.optim, i, &name)); i++)
		memcpy(slot, optim_slot(b->optim, i, &name), COUNT * sizeof(float));
	run(b, 7, 20);
	run(&fresh, 7, 20);
	assert_memory_equal(fresh.weight, b->weight, sizeof(fresh.weight));
	optim_free(fresh.optim);
}

static void going_on_from_saved_slots_is_as_if_never_stopped(void **state)
{
	(void)state;
	for_each(interrupt);
}

static double norm(const float *x)
{
	double sum = 0;

	for (size_t i = 0; i < COUNT; i++)
		sum += (double)x[i] * x[i];
	return sqrt(sum);
}

static void renew(struct bench *b, double clip)
{
	b->env.clip = clip;
	optim_free(b->optim);
	b->optim = optim_new(&b->env);
}

/* One step with clipping, and one with a gradient that is as long. */
static void clip_and_compare(struct bench *b)
{
	float start[COUNT], clipped[COUNT];
	double before;

	memcpy(start, b->weight, sizeof(start));
	bowl(b);
	before = norm(b->grad);
	renew(b, before / 3);
	assert_true(fabs(optim_step(b->optim, 0, b->weight, b->grad) - before) < 1e-9);
	assert_true(norm(b->grad) == before);
	memcpy(clipped, b->weight, sizeof(clipped));
	memcpy(b->weight, start, sizeof(start));
	for (size_t i = 0; i < COUNT; i++)
		b->grad[i] *= (float)(before / 3 / (before + 1e-6));
	renew(b, before / 3 * 1.01);
	optim_step(b->optim, 0, b->weight, b->grad);
	for (size_t i = 0; i < COUNT; i++)
		assert_true(fabs(clipped[i] - b->weight[i]) < 1e-6);
}

static void only_a_long_gradient_is_clipped(void **state)
{
	(void)state;
	for_each(clip_and_compare);
}

static void the_learning_rate_is_the_first_option(void **state)
{
	struct bench b;

	(void)state;
	for (size_t i = 0; optimizers.entries[i]; i++) {
		bench_init(&b, optimizers.entries[i], quick);
		assert_string_equal(optimizers.entries[i]->options[0].key, "lr");
		assert_true(optim_lr(b.optim, 0) == 0.05);
		bench_release(&b);
	}
}

static void not_a_number_reaches_the_weights_and_the_norm(void **state)
{
	struct bench b;

	(void)state;
	for (size_t i = 0; optimizers.entries[i]; i++) {
		bench_init(&b, optimizers.entries[i], NULL);
		renew(&b, 1);
		bowl(&b);
		b.grad[3] = NAN;
		assert_true(isnan(optim_step(b.optim, 0, b.weight, b.grad)));
		assert_true(isnan(b.weight[3]));
		bench_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_optimizer_finds_the_minimum_of_a_bowl),
		cmocka_unit_test(slots_have_names_and_start_at_zero),
		cmocka_unit_test(going_on_from_saved_slots_is_as_if_never_stopped),
		cmocka_unit_test(only_a_long_gradient_is_clipped),
		cmocka_unit_test(the_learning_rate_is_the_first_option),
		cmocka_unit_test(not_a_number_reaches_the_weights_and_the_norm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
