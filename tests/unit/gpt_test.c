/* The transformer as a whole: derivatives, any number of threads, slices of a batch, first weights.
 */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/device/team.h"
#include "runtime/model/layer.h"
#include "tests/unit/part.h"

enum { BATCH = 3, POSITIONS = 9, WORDS = 11 };

struct bench {
	struct part preset;
	struct team *team;
	struct model *model;
	struct batch batch;
	size_t count;
	float *weight, *grad;
};

static void bench_init(struct bench *b, const char *const *options, size_t threads)
{
	struct model_env env = { .input = { .dim = { POSITIONS }, .rank = 1 },
				 .classes = WORDS,
				 .labels = POSITIONS,
				 .vocabulary = WORDS,
				 .max_batch = BATCH,
				 .seed = 3 };
	size_t words = BATCH * POSITIONS;
	struct error err;

	*b = (struct bench){ .preset = part_with(registry_find(&models, "gpt"), options),
			     .team = team_new(threads) };
	env.team = b->team;
	if (model_new(&b->model, &b->preset, &env, &err) < 0)
		fail_msg("%s", err.text);
	b->batch = (struct batch){ .x = xcalloc(words, sizeof(float)),
				   .targets = xcalloc(words, sizeof(float)),
				   .count = BATCH,
				   .total = BATCH,
				   .step = 4,
				   .training = true };
	for (size_t i = 0; i < words; i++) {
		b->batch.x[i] = (float)(i * i % 7);
		b->batch.targets[i] = (float)(i * 5 % WORDS);
	}
	b->count = model_count(b->model);
	b->weight = xaligned(b->count * sizeof(float));
	b->grad = xaligned(b->count * sizeof(float));
	model_init(b->model, b->weight);
}

static void bench_release(struct bench *b)
{
	model_free(b->model);
	team_free(b->team);
	free(b->batch.x);
	free(b->batch.targets);
	free(b->weight);
	free(b->grad);
	part_release(&b->preset);
}

static void ignore(void *arg, size_t offset, size_t count)
{
	(void)arg;
	(void)offset;
	(void)count;
}

static double mean_loss(struct bench *b)
{
	struct score score;

	model_forward(b->model, b->weight, &b->batch, &score);
	assert_int_equal(score.count, b->batch.count * POSITIONS);
	return score.loss_sum / (double)(b->batch.total * POSITIONS);
}

static double gradient(struct bench *b)
{
	double loss = mean_loss(b);

	for (size_t i = 0; i < b->count; i++)
		b->grad[i] = NAN; /* backward overwrites */
	model_backward(b->model, b->weight, &b->batch, b->grad, ignore, NULL);
	return loss;
}

static const struct {
	const char *options[11];
} variants[] = {
	{ { "layers", "2", "width", "12", "heads", "3" } },
	{ { "layers", "1", "width", "10", "heads", "1", "gelu", "tanh" } },
	{ { "layers", "2", "width", "8", "heads", "4", "dropout", "0.2" } },
};

/* With weights that are no longer as small as first ones, so that attention matters. */
static void derivatives_match_central_differences(void **state)
{
	const float h = 0x1p-7f;

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(variants); n++) {
		struct bench b;

		bench_init(&b, variants[n].options, 1);
		fill(b.weight, b.count, n, 0);
		gradient(&b);
		for (size_t i = 0; i < b.count; i += 3) {
			float kept = b.weight[i], above = kept + h, below = kept - h;
			double high, low, slope;

			b.weight[i] = above;
			high = mean_loss(&b);
			b.weight[i] = below;
			low = mean_loss(&b);
			b.weight[i] = kept;
			slope = (high - low) / ((double)above - below);
			if (!(fabs(slope - b.grad[i]) <= 3e-4 * (1 + fabs(slope))))
				fail_msg("variant %zu: derivative %zu is %g, differences say %g", n,
					 i, (double)b.grad[i], slope);
		}
		bench_release(&b);
	}
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
	static const char *const options[] = { "width", "72", "heads", "3", NULL };
	struct bench one, more;

	(void)state;
	bench_init(&one, options, 1);
	gradient(&one);
	for (size_t threads = 2; threads <= 3; threads++) {
		bench_init(&more, options, threads);
		assert_true(gradient(&more) == mean_loss(&one));
		assert_memory_equal(one.grad, more.grad, one.count * sizeof(float));
		bench_release(&more);
	}
	bench_release(&one);
}

static void slices_of_a_batch_add_up(void **state)
{
	struct bench whole, part;
	struct batch all;
	float *sum;

	(void)state;
	bench_init(&whole, variants[2].options, 1);
	bench_init(&part, variants[2].options, 1);
	all = part.batch;
	gradient(&whole);
	sum = xcalloc(whole.count, sizeof(float));
	for (size_t i = 0; i < BATCH; i++) {
		part.batch.x = whole.batch.x + i * POSITIONS;
		part.batch.targets = whole.batch.targets + i * POSITIONS;
		part.batch.count = 1;
		part.batch.first = i;
		gradient(&part);
		for (size_t j = 0; j < whole.count; j++)
			sum[j] += part.grad[j];
	}
	for (size_t j = 0; j < whole.count; j++)
		assert_true(fabsf(sum[j] - whole.grad[j]) <= 1e-6f);
	part.batch = all;
	free(sum);
	bench_release(&whole);
	bench_release(&part);
}

static double deviation(const struct bench *b, const char *name)
{
	size_t count;
	const struct tensor *tensors = model_tensors(b->model, &count);

	for (size_t i = 0; i < count; i++) {
		double sum = 0;

		if (strcmp(tensors[i].name, name) != 0)
			continue;
		for (size_t j = 0; j < tensors[i].count; j++)
			sum += pow(b->weight[tensors[i].offset + j], 2);
		return sqrt(sum / (double)tensors[i].count);
	}
	fail_msg("no tensor '%s'", name);
	return 0;
}

static void weights_begin_as_in_nanogpt(void **state)
{
	static const char *const options[] = { "layers", "8", "width", "128", NULL };
	struct bench b;

	(void)state;
	bench_init(&b, options, 1);
	assert_true(fabs(deviation(&b, "wte.weight") - 0.02) < 2e-3);
	assert_true(fabs(deviation(&b, "wpe.weight") - 0.02) < 2e-3);
	assert_true(fabs(deviation(&b, "h.7.attn.c_attn.weight") - 0.02) < 1e-3);
	assert_true(fabs(deviation(&b, "h.0.attn.c_proj.weight") - 0.005) < 3e-4);
	assert_true(fabs(deviation(&b, "h.0.mlp.c_fc.weight") - 0.02) < 1e-3);
	assert_true(fabs(deviation(&b, "h.7.mlp.c_proj.weight") - 0.005) < 3e-4);
	assert_true(deviation(&b, "h.7.mlp.c_fc.bias") == 0);
	assert_true(deviation(&b, "h.7.attn.c_attn.bias") == 0);
	assert_true(deviation(&b, "ln_f.weight") == 1 && deviation(&b, "ln_f.bias") == 0);
	assert_true(fabs(mean_loss(&b) - log(WORDS)) < 0.1); /* knows nothing yet */
	bench_release(&b);
}

static void quantities_and_odd_heads_are_refused(void **state)
{
	static const char *const odd[] = { "width", "10", "heads", "4", NULL };
	struct model_env env = { .input = { .dim = { POSITIONS }, .rank = 1 },
				 .classes = WORDS,
				 .labels = POSITIONS,
				 .max_batch = 1 };
	struct part preset = part_with(registry_find(&models, "gpt"), odd);
	struct model *model;
	struct error err;

	(void)state;
	assert_int_equal(model_new(&model, &preset, &env, &err), -1);
	assert_non_null(strstr(err.text, "the data has quantities, not numbers of words"));
	env.vocabulary = WORDS;
	assert_int_equal(model_new(&model, &preset, &env, &err), -1);
	assert_string_equal(err.text, "model 'gpt': layer 'h.0.attn': 10 channels cannot be shared "
				      "by 4 heads");
	part_release(&preset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derivatives_match_central_differences),
		cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
		cmocka_unit_test(slices_of_a_batch_add_up),
		cmocka_unit_test(weights_begin_as_in_nanogpt),
		cmocka_unit_test(quantities_and_odd_heads_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
