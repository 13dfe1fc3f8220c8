/* Every preset in the registry as a whole: derivatives, readiness, slices of a batch, names. */
#include "tests/unit/unit.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/device/cpu.h"
#include "runtime/device/team.h"
#include "tests/unit/model_bench.h"

/* Options that make what a preset builds differ; all presets are tried with their defaults too. */
static const struct {
	const char *preset, *options[7];
} variants[] = {
	{ "mlp", { "hidden", "[7]", "activation", "tanh" } },
	{ "mlp", { "hidden", "[5, 4, 3]", "activation", "sigmoid" } },
	{ "mlp", { "hidden", "[9, 8]", "activation", "tanh", "dropout", "0.3" } },
	{ "mlp", { "hidden", "[]" } },
	{ "resnet20", { "width", "2" } },
	{ "vgg11-small", { "width", "2" } },
};

typedef void visit(struct bench *bench);

/* Fit for hundreds of forward passes; of the others there are lighter variants. */
static bool is_light(const struct bench *b)
{
	return model_flops(b->model) * BATCH < 1e8 / (SPACING * SPACING);
}

static size_t visit_all(visit *check, const struct entry *entry, const char *const *options)
{
	size_t built = 0;
	struct bench b;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (bench_init(&b, entry, options, &kinds[i]) < 0)
			continue;
		if (is_light(&b))
			check(&b);
		built++;
		bench_release(&b);
	}
	return built;
}

static void for_each(visit *check)
{
	for (size_t i = 0; models.entries[i]; i++)
		assert_true(visit_all(check, models.entries[i], NULL) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++)
		assert_true(visit_all(check, registry_find(&models, variants[i].preset),
				      variants[i].options) >= 3);
}

static bool has_statistics(const struct bench *b)
{
	size_t tensors;
	const struct tensor *tensor = model_tensors(b->model, &tensors);

	for (size_t t = 0; t < tensors; t++)
		if (tensor[t].rate > 0)
			return true;
	return false;
}

/* A step of length h in a direction that is half the gradient of a tensor, every other number. */
static void step_along(struct bench *b, const struct tensor *tensor, double norm, double h)
{
	for (size_t i = 0; i < tensor->count; i++)
		if (i * 7 % 5 < 3) {
			size_t at = tensor->offset + i;

			b->weight[at] += (float)(h * b->grad[at] / norm);
		}
}

/* The change of the loss that the gradient predicts for the step between two blocks of weights. */
static double predicted(const struct bench *b, const float *from, const float *to)
{
	double sum = 0;

	for (size_t i = 0; i < b->count; i++)
		sum += b->grad[i] * ((double)to[i] - from[i]);
	return sum;
}

/* The loss along a tensor's gradient, for steps of which one is short enough for the curvature of
 * layers that normalise, and one long enough for rounding. */
static bool falls_as_predicted(struct bench *b, const struct tensor *tensor)
{
	double norm = sqrt(cpu_sum_squares(b->grad + tensor->offset, tensor->count));
	float *from = xaligned(b->count * sizeof(float)),
	      *kept = xaligned(b->count * sizeof(float));
	bool found = norm < 1e-5; /* as a bias in front of what normalises has */
	size_t bytes = b->count * sizeof(float);

	memcpy(kept, b->weight, bytes);
	for (double h = 0x1p-6; h > 0x1p-17 && !found; h /= 4) {
		double low, high, wanted;

		step_along(b, tensor, norm, -h);
		memcpy(from, b->weight, bytes);
		low = mean_loss(b);
		memcpy(b->weight, kept, bytes);
		step_along(b, tensor, norm, h);
		high = mean_loss(b);
		wanted = predicted(b, from, b->weight);
		memcpy(b->weight, kept, bytes);
		found = fabs(high - low - wanted) <= 0.02 * fabs(wanted) + 2e-7;
	}
	free(from);
	free(kept);
	return found;
}

/* All numbers of a tensor at once, for about 25 tensors. */
static void compare_with_steps(struct bench *b)
{
	size_t tensors;
	const struct tensor *tensor = model_tensors(b->model, &tensors);

	gradient(b, b->grad);
	for (size_t t = 0; t < tensors; t += SPACING + tensors / 25)
		if (tensor[t].rate == 0 && !falls_as_predicted(b, &tensor[t]))
			fail_msg("%s, %s: the loss does not follow its gradient",
				 b->preset.entry->name, tensor[t].name);
}

static void a_step_along_the_gradient_changes_the_loss_as_it_says(void **state)
{
	(void)state;
	for_each(compare_with_steps);
}

/* Of their usual size, with images as they come: all that heavy models are tested for. */
static void presets_for_images_take_what_there_is(void **state)
{
	static const struct kind images[] = {
		{ { .dim = { 1, 28, 28 }, .rank = 3 }, .classes = 10, .labels = 1 },
		{ { .dim = { 3, 32, 32 }, .rank = 3 }, .classes = 10, .labels = 1 },
	};
	size_t taken = 0;
	struct error err;

	(void)state;
	for (size_t i = 0; models.entries[i]; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(images); k++) {
			struct bench b = { .preset = part_with(models.entries[i], NULL),
					   .env = env_of(&images[k]) };
			struct tensor whole = { .count = 0 };

			if (model_new(&b.model, &b.preset, &b.env, &err) == 0) {
				bench_start(&b);
				b.batch.count = b.batch.total = 2;
				gradient(&b, b.grad);
				whole.count = b.count;
				for (size_t j = 0; j < b.count; j++)
					assert_true(isfinite(b.grad[j]));
				if (!has_statistics(&b))
					assert_true(falls_as_predicted(&b, &whole));
				taken++;
			}
			bench_release(&b);
		}
	}
	assert_true(taken > 2);
}

/* At most 100 parameters of all tensors. With h = 2^-9 truncation is below 1e-5, and logits rounded
 * to 2^-23 move a difference by about 1e-7 / h = 5e-5. Where many numbers depend on one, edges on
 * both sides of it may spoil a few; where a small batch is normalised, all. */
static void compare_with_differences(struct bench *b)
{
	size_t tensors, wrong = 0;
	const struct tensor *tensor = model_tensors(b->model, &tensors);

	if (has_statistics(b))
		return;
	gradient(b, b->grad);
	for (size_t t = 0; t < tensors; t++) {
		size_t end = tensor[t].offset + tensor[t].count;

		for (size_t i = tensor[t].offset; i < end;
		     i += SPACING + tensor[t].count * tensors / 100)
			if (!(distance(b, i, 0x1p-9f) <= 1e-4) && ++wrong > 3)
				fail_msg("%s, %s: derivative %zu is not %g, by %g",
					 b->preset.entry->name, tensor[t].name, i,
					 (double)b->grad[i], distance(b, i, 0x1p-9f));
	}
}

static void derivatives_match_central_differences(void **state)
{
	(void)state;
	for_each(compare_with_differences);
}

static void note_ready(void *arg, size_t offset, size_t count)
{
	struct bench *b = arg;

	assert_true(count > 0);
	assert_int_equal(offset + count, b->ready);
	memcpy(b->copy + offset, b->grad + offset, count * sizeof(float));
	b->ready = offset;
	b->calls++;
}

static void watch_ready(struct bench *b)
{
	size_t layers_with_tensors = 0;
	struct model_row row;

	for (size_t i = 0; model_row(b->model, i, &row); i++)
		layers_with_tensors += row.parameters > 0;
	b->ready = b->count;
	mean_loss(b);
	model_backward(b->model, b->weight, &b->batch, b->grad, note_ready, b);
	assert_int_equal(b->ready, 0);
	assert_int_equal(b->calls, layers_with_tensors); /* once each: weight and bias together */
	assert_memory_equal(b->copy, b->grad, b->count * sizeof(float));
}

static void ready_ranges_fall_to_0_and_are_final(void **state)
{
	(void)state;
	for_each(watch_ready);
}

/* Ranks with 3, 0 and 5 samples of the same 8. */
static void split(struct bench *b)
{
	static const size_t cuts[] = { 0, 3, 3, 8 };
	struct batch whole = b->batch;
	double loss = mean_loss(b), sum = 0;

	if (has_statistics(b)) /* normalises over what a rank has */
		return;
	gradient(b, b->grad);
	for (size_t i = 0; i < 3; i++) {
		size_t first = cuts[i];

		b->batch.x = whole.x + first * shape_count(&b->env.input);
		b->batch.rows = whole.rows ? whole.rows + first : NULL;
		b->batch.targets = whole.targets + first * b->labels;
		b->batch.first = first;
		b->batch.count = cuts[i + 1] - first;
		sum += mean_loss(b);
		gradient(b, b->copy);
		cpu_axpy(b->grad, -1, b->copy, b->count);
	}
	b->batch = whole;
	assert_true(fabs(sum - loss) < 1e-6);
	for (size_t i = 0; i < b->count; i++)
		if (!(fabsf(b->grad[i]) < 1e-6f))
			fail_msg("%s: %zu: %g %g", b->preset.entry->name, i, (double)b->grad[i],
				 (double)b->copy[i]);
}

static void slices_of_a_batch_sum_to_the_whole(void **state)
{
	(void)state;
	for_each(split);
}

static void check_names(struct bench *b)
{
	size_t tensors, next = 0;
	const struct tensor *tensor = model_tensors(b->model, &tensors);

	for (size_t i = 0; i < tensors; i++) {
		assert_int_equal(tensor[i].offset, next);
		assert_int_equal(tensor[i].count, shape_count(&tensor[i].shape));
		next += tensor[i].count;
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(tensor[i].name, tensor[j].name);
	}
	assert_int_equal(next, b->count);
}

static void tensors_tile_the_block_under_unique_names(void **state)
{
	(void)state;
	for_each(check_names);
}

static void repeat(struct bench *b)
{
	gradient(b, b->grad);
	gradient(b, b->copy);
	assert_memory_equal(b->grad, b->copy, b->count * sizeof(float));
}

static void the_same_batch_gives_the_same_bits(void **state)
{
	(void)state;
	for_each(repeat);
}

static void compare_teams(struct bench *b)
{
	struct model_env env = b->env;
	struct model *alone = b->model;
	struct error err;

	gradient(b, b->grad);
	env.team = team_new(3);
	assert_int_equal(model_new(&b->model, &b->preset, &env, &err), 0);
	gradient(b, b->copy);
	model_free(b->model);
	team_free(env.team);
	b->model = alone;
	assert_memory_equal(b->grad, b->copy, b->count * sizeof(float));
}

static void a_team_gives_the_same_bits(void **state)
{
	(void)state;
	for_each(compare_teams);
}

static void compare_evaluation(struct bench *b)
{
	struct model_env env = b->env;
	struct model *trained = b->model;
	struct error err;
	double loss;

	b->batch.training = false;
	loss = mean_loss(b);
	env.forward_only = true;
	assert_int_equal(model_new(&b->model, &b->preset, &env, &err), 0);
	assert_true(model_arena_bytes(b->model) <= model_arena_bytes(trained));
	assert_true(mean_loss(b) == loss);
	model_free(b->model);
	b->model = trained;
}

static void a_model_for_evaluation_alone_says_the_same(void **state)
{
	(void)state;
	for_each(compare_evaluation);
}

static void compare_inits(struct bench *b)
{
	struct model_env env = b->env;
	struct model *other;
	struct error err;

	env.classes = 0;
	if (model_new(&other, &b->preset, &env, &err) < 0)
		return;
	model_free(other);
	env.max_batch = 1;
	assert_int_equal(model_new(&other, &b->preset, &env, &err), 0);
	if (model_count(other) == b->count) {
		model_init(other, b->copy);
		assert_memory_equal(b->copy, b->weight, b->count * sizeof(float));
	}
	model_free(other);
	env.seed++;
	assert_int_equal(model_new(&other, &b->preset, &env, &err), 0);
	if (model_count(other) == b->count) {
		model_init(other, b->copy);
		assert_memory_not_equal(b->copy, b->weight, b->count * sizeof(float));
	}
	model_free(other);
}

static void initial_weights_depend_on_the_seed_alone(void **state)
{
	(void)state;
	for_each(compare_inits);
}

static void an_mlp_is_named_and_initialised_as_in_pytorch(void **state)
{
	static const char *const names[] = { "fc1.weight", "fc1.bias",	 "fc2.weight",
					     "fc2.bias",   "fc3.weight", "fc3.bias" };
	static const size_t inputs[] = { 6, 6, 256, 256, 128, 128 };
	struct bench b;
	size_t tensors;
	const struct tensor *tensor;

	(void)state;
	bench_init(&b, registry_find(&models, "mlp"), NULL, three);
	tensor = model_tensors(b.model, &tensors);
	assert_int_equal(tensors, 6);
	assert_int_equal(tensor[2].shape.dim[0], 128); /* [out][in] */
	assert_int_equal(tensor[2].shape.dim[1], 256);
	for (size_t i = 0; i < 6; i++) {
		float bound = (float)(1 / sqrt((double)inputs[i])), largest = 0;

		assert_string_equal(tensor[i].name, names[i]);
		for (size_t j = 0; j < tensor[i].count; j++)
			largest = fmaxf(largest, fabsf(b.weight[tensor[i].offset + j]));
		assert_true(largest <= bound && (tensor[i].count < 50 || largest > 0.9f * bound));
	}
	bench_release(&b);
}

static void outputs_are_those_of_the_last_layer(void **state)
{
	struct bench b;
	size_t outputs, right = 0;
	struct score score;
	const float *z;

	(void)state;
	bench_init(&b, registry_find(&models, "softmax"), NULL, three);
	model_forward(b.model, b.weight, &b.batch, &score);
	z = model_outputs(b.model, &outputs);
	assert_int_equal(outputs, 3);
	for (size_t i = 0; i < BATCH; i++, z += 3) {
		size_t best = z[1] > z[0] ? 1 : 0;

		best = z[2] > z[best] ? 2 : best;
		right += best == (size_t)b.batch.targets[i];
	}
	assert_int_equal(score.correct, right);
	bench_release(&b);
}

static void a_preset_says_what_data_it_lacks(void **state)
{
	struct kind ten = { three->input, .classes = 10, .labels = 1 };
	struct model_env env = env_of(&ten);
	struct part logistic = part_default(&models, "logistic");
	struct model *model;
	struct error err;

	(void)state;
	assert_int_equal(model_new(&model, &logistic, &env, &err), -1);
	assert_string_equal(err.text,
			    "model 'logistic': loss 'logistic' needs data with 2 classes, "
			    "not 10; use model 'softmax' for more, 'mlp' for values to "
			    "regress");
	part_release(&logistic);
}

static void dropout_is_drawn_anew_at_every_step_of_training_alone(void **state)
{
	struct bench b;
	double first, same, next;

	(void)state;
	bench_init(&b, registry_find(&models, "mlp"), variants[2].options, three);
	first = mean_loss(&b);
	same = mean_loss(&b);
	b.batch.step++;
	next = mean_loss(&b);
	assert_true(same == first && next != first);
	b.batch.training = false;
	first = mean_loss(&b);
	b.batch.step++;
	assert_true(mean_loss(&b) == first);
	bench_release(&b);
}

static void *train_alone(void *arg)
{
	for (int i = 0; i < 50; i++)
		gradient(arg, ((struct bench *)arg)->grad);
	return NULL;
}

static void models_of_several_threads_do_not_meet(void **state)
{
	struct bench b[3];
	pthread_t threads[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		bench_init(&b[i], registry_find(&models, "mlp"), variants[2].options, three);
		b[i].batch.step = i;
		gradient(&b[i], b[i].copy);
	}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, train_alone, &b[i]), 0);
	for (size_t i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_memory_equal(b[i].grad, b[i].copy, b[i].count * sizeof(float));
		bench_release(&b[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derivatives_match_central_differences),
		cmocka_unit_test(a_step_along_the_gradient_changes_the_loss_as_it_says),
		cmocka_unit_test(presets_for_images_take_what_there_is),
		cmocka_unit_test(ready_ranges_fall_to_0_and_are_final),
		cmocka_unit_test(slices_of_a_batch_sum_to_the_whole),
		cmocka_unit_test(tensors_tile_the_block_under_unique_names),
		cmocka_unit_test(the_same_batch_gives_the_same_bits),
		cmocka_unit_test(a_team_gives_the_same_bits),
		cmocka_unit_test(a_model_for_evaluation_alone_says_the_same),
		cmocka_unit_test(initial_weights_depend_on_the_seed_alone),
		cmocka_unit_test(an_mlp_is_named_and_initialised_as_in_pytorch),
		cmocka_unit_test(outputs_are_those_of_the_last_layer),
		cmocka_unit_test(a_preset_says_what_data_it_lacks),
		cmocka_unit_test(dropout_is_drawn_anew_at_every_step_of_training_alone),
		cmocka_unit_test(models_of_several_threads_do_not_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
