/* Every layer in the registry: its derivatives, and what a sample's result may depend on. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/device/cpu.h"
#include "runtime/device/team.h"
#include "runtime/model/layer.h"
#include "tests/unit/part.h"

/*
 * Steps are powers of two, so that x + h and x - h are exact but for a rounding. Truncation is
 * h^2/6 f''' < 2.1e-5 (|tanh'''| <= 2); float rounding of sums of a hundred products is
 * 1e-6 / 2h < 1e-4.
 */
static const float h = 0x1p-7f;
static const double tolerance = 2e-4;

struct bench {
	const struct layer *layer;
	struct part part;
	struct shape input;
	struct layer_plan plan;
	struct layer_call call;
	struct team *team;
	float *tensor[LAYER_TENSORS], *grad[LAYER_TENSORS];
	size_t count[LAYER_TENSORS];
	float *in, *in2, *out, *dout, *din, *din2;
	bool words; /* `in` has whole numbers: there are no derivatives by it */
};

enum { WORDS = 5 };

/* Quantities, or words for a layer that wants those. Returns -1 if the shape is refused. */
static int plan(struct bench *b)
{
	struct model_env env = { .classes = 5 };
	struct error err;

	if (!b->layer->plan || b->layer->plan(b->part.params, &b->input, &env, &b->plan, &err) == 0)
		return 0;
	b->words = true;
	env.vocabulary = WORDS;
	return b->layer->plan(b->part.params, &b->input, &env, &b->plan, &err);
}

static void fill_inputs(struct bench *b)
{
	size_t count = b->call.batch * b->call.inputs;

	b->in = filled(count, 10, 0.05); /* away from relu's edge at 0 */
	b->in2 = filled(count, 12, 0.05);
	for (size_t i = 0; i < count && b->words; i++)
		b->in[i] = (float)(i % WORDS);
	b->call.in2 = b->in2;
	b->din = xaligned(count * sizeof(float));
	b->call.din2 = b->din2 = xaligned(count * sizeof(float));
}

/* Returns -1, with nothing to release, if the layer refuses such a shape. */
static int bench_init(struct bench *b, const struct entry *entry, struct shape shape, size_t batch,
		      bool training)
{
	*b = (struct bench){ .layer = (const struct layer *)entry, .part = part_with(entry, NULL) };
	b->plan.output = b->input = shape;
	if (plan(b) < 0) {
		part_release(&b->part);
		return -1;
	}
	b->team = team_new(1);
	team_reserve(b->team, b->plan.workspace_bytes);
	b->call = (struct layer_call){
		.params = b->part.params,
		.plan = &b->plan,
		.input = &b->input,
		.output = &b->plan.output,
		.team = b->team,
		.batch = batch,
		.total = batch,
		.inputs = shape_count(&shape),
		.outputs = shape_count(&b->plan.output),
		.weight = (const float *const *)b->tensor,
		.grad = b->grad,
		.scratch = xaligned(batch * b->plan.scratch_bytes),
		.kept = xaligned(b->plan.kept_bytes),
		.training = training,
		.rng = rng_make(5, RNG_DROPOUT, 1, 2),
	};
	for (size_t i = 0; i < b->plan.tensors; i++) {
		b->count[i] = shape_count(&b->plan.tensor[i].shape);
		b->tensor[i] = filled(b->count[i], i, 0);
		for (size_t j = 0; j < b->count[i] && b->plan.tensor[i].rate > 0; j++)
			b->tensor[i][j] = 1 + fabsf(b->tensor[i][j]); /* may be a variance */
		b->grad[i] = xaligned(b->count[i] * sizeof(float));
	}
	fill_inputs(b);
	b->out = xaligned(batch * b->call.outputs * sizeof(float));
	b->dout = filled(batch * b->call.outputs, 11, 0);
	return 0;
}

static void bench_release(struct bench *b)
{
	for (size_t i = 0; i < b->plan.tensors; i++) {
		free(b->tensor[i]);
		free(b->grad[i]);
	}
	free(b->call.scratch);
	free(b->call.kept);
	free(b->in2);
	free(b->din2);
	team_free(b->team);
	free(b->in);
	free(b->out);
	free(b->dout);
	free(b->din);
	part_release(&b->part);
}

/* A number whose derivative by out[i] is dout[i]. */
static double objective(struct bench *b)
{
	double sum = 0;

	b->layer->forward(&b->call, b->in, b->out);
	for (size_t i = 0; i < b->call.batch * b->call.outputs; i++)
		sum += (double)b->out[i] * b->dout[i];
	return sum;
}

/* Of the objective, from x - by to x + by. */
static double difference(struct bench *b, float *x, float by)
{
	float kept = *x;
	double high, low;

	*x = kept + by;
	high = objective(b);
	*x = kept - by;
	low = objective(b);
	*x = kept;
	return high - low;
}

/* From x to x + by, divided by that. */
static double one_sided(struct bench *b, float *x, float by)
{
	float kept = *x;
	double here = objective(b), there;

	*x = kept + by;
	there = objective(b);
	*x = kept;
	return (there - here) / (double)by;
}

/* Where another number of a window becomes the largest, one side is without an edge. */
static bool has_edge(struct bench *b, float *x, double derivative)
{
	return fabs(one_sided(b, x, h) - derivative) < tolerance ||
	       fabs(one_sided(b, x, -h) - derivative) < tolerance;
}

static void compare(struct bench *b, float *x, const float *derivative, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double slope =
			(8 * difference(b, x + i, h) - difference(b, x + i, 2 * h)) / (12 * h);

		if (!(fabs(slope - derivative[i]) <= tolerance * (1 + fabs(slope))) &&
		    !has_edge(b, x + i, derivative[i]))
			fail_msg("%s: derivative %zu of %zu is %g, differences say %g",
				 b->layer->entry.name, i, count, (double)derivative[i], slope);
	}
}

/* With a copy of dout, as a layer may overwrite it. */
static void backward(struct bench *b)
{
	size_t bytes = b->call.batch * b->call.outputs * sizeof(float);
	float *dout = xmalloc(bytes);

	memcpy(dout, b->dout, bytes);
	b->layer->backward(&b->call, b->layer->reads_in ? b->in : NULL,
			   b->layer->reads_out ? b->out : NULL, dout, b->din);
	free(dout);
}

static void check_derivatives(struct bench *b)
{
	objective(b);
	for (size_t i = 0; i < b->plan.tensors; i++)
		for (size_t j = 0; j < b->count[i]; j++)
			b->grad[i][j] = NAN; /* backward overwrites */
	for (size_t i = 0; i < b->call.batch * b->call.inputs; i++)
		b->din[i] = NAN;
	backward(b);
	if (!b->words)
		compare(b, b->in, b->din, b->call.batch * b->call.inputs);
	if (b->layer->joins)
		compare(b, b->in2, b->din2, b->call.batch * b->call.inputs);
	for (size_t i = 0; i < b->plan.tensors; i++)
		if (b->plan.tensor[i].rate == 0)
			compare(b, b->tensor[i], b->grad[i], b->count[i]);
}

static const struct shape shapes[] = {
	{ .dim = { 1 }, .rank = 1 },
	{ .dim = { 7 }, .rank = 1 },
	{ .dim = { 3, 5 }, .rank = 2 },
	{ .dim = { 2, 3, 3 }, .rank = 3 },
};
static const size_t batches[] = { 1, 3, 8 };

static void derivatives_match_central_differences(void **state)
{
	struct bench b;

	(void)state;
	for (size_t e = 0; layers.entries[e]; e++) {
		size_t checked = 0;

		for (size_t i = 0; i < ARRAY_SIZE(shapes) * ARRAY_SIZE(batches) * 2; i++) {
			if (bench_init(&b, layers.entries[e], shapes[i / 2 % ARRAY_SIZE(shapes)],
				       batches[i / 2 / ARRAY_SIZE(shapes)], i % 2) < 0)
				continue;
			check_derivatives(&b);
			bench_release(&b);
			checked++;
		}
		assert_true(checked > 0);
	}
}

/* A shape that the layer takes: of a sequence, if it may be one. */
static const struct shape *accepted(const struct entry *entry)
{
	static const size_t order[] = { 2, 1, 0, 3 };
	struct bench b;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (bench_init(&b, entry, shapes[order[i]], 1, true) == 0) {
			bench_release(&b);
			return &shapes[order[i]];
		}
	fail_msg("%s takes no shape", entry->name);
	return NULL;
}

static void the_same_call_gives_the_same_bits(void **state)
{
	struct bench a, b;

	(void)state;
	for (size_t e = 0; layers.entries[e]; e++) {
		const struct shape *shape = accepted(layers.entries[e]);

		bench_init(&a, layers.entries[e], *shape, 8, true);
		bench_init(&b, layers.entries[e], *shape, 8, true);
		objective(&a);
		objective(&b);
		backward(&a);
		backward(&b);
		assert_memory_equal(a.out, b.out, 8 * a.call.outputs * sizeof(float));
		assert_memory_equal(a.din, b.din, 8 * a.call.inputs * sizeof(float));
		for (size_t i = 0; i < a.plan.tensors; i++)
			assert_memory_equal(a.grad[i], b.grad[i], a.count[i] * sizeof(float));
		bench_release(&a);
		bench_release(&b);
	}
}

/* Of a layer that has statistics, neighbours do count in training. */
static bool has_statistics(const struct bench *b)
{
	return b->plan.tensors > 0 && b->plan.tensor[b->plan.tensors - 1].rate > 0;
}

/* Sample 5 of a batch of 8 gives the same on a rank that has only it. */
static void a_sample_does_not_depend_on_its_neighbours(void **state)
{
	struct bench b;

	(void)state;
	for (size_t e = 0; layers.entries[e]; e++) {
		float together[64], *alone;

		bench_init(&b, layers.entries[e], *accepted(layers.entries[e]), 8, true);
		b.call.training = !has_statistics(&b);
		assert_true(b.call.outputs <= ARRAY_SIZE(together));
		objective(&b);
		memcpy(together, b.out + 5 * b.call.outputs, b.call.outputs * sizeof(float));
		b.call.first = 5;
		b.call.batch = 1;
		b.call.in2 += 5 * b.call.inputs;
		alone = b.out;
		b.layer->forward(&b.call, b.in + 5 * b.call.inputs, alone);
		for (size_t i = 0; i < b.call.outputs; i++) /* sums may be ordered otherwise */
			assert_true(fabsf(alone[i] - together[i]) <= 1e-6f);
		bench_release(&b);
	}
}

static void not_a_number_is_passed_on(void **state)
{
	struct bench b;

	(void)state;
	for (size_t e = 0; layers.entries[e]; e++) {
		bench_init(&b, layers.entries[e], *accepted(layers.entries[e]), 1, false);
		if (b.words) { /* which are whole numbers */
			bench_release(&b);
			continue;
		}
		b.in[0] = NAN;
		objective(&b);
		assert_true(isnan(b.out[0]));
		bench_release(&b);
	}
}

static struct bench dropout(size_t batch, bool training)
{
	struct bench b;
	struct shape wide = { .dim = { 1000 }, .rank = 1 };

	bench_init(&b, registry_find(&layers, "dropout"), wide, batch, training);
	return b;
}

static void dropout_drops_its_share_and_scales_the_rest(void **state)
{
	struct bench b = dropout(10, true);
	size_t dropped = 0;

	(void)state;
	objective(&b);
	for (size_t i = 0; i < 10000; i++) {
		dropped += b.out[i] == 0;
		assert_true(b.out[i] == 0 || b.out[i] == 2 * b.in[i]);
	}
	assert_in_range(dropped, 4750, 5250); /* 5000, five deviations of 50 */
	bench_release(&b);
}

static void dropout_does_nothing_in_evaluation(void **state)
{
	struct bench b = dropout(2, false);

	(void)state;
	objective(&b);
	assert_memory_equal(b.out, b.in, 2000 * sizeof(float));
	bench_release(&b);
}

static size_t differing(struct bench *b, const float *before)
{
	size_t count = 0;

	objective(b);
	for (size_t i = 0; i < 1000; i++)
		count += (b->out[i] == 0) != (before[i] == 0);
	return count;
}

static void dropout_differs_by_step_layer_seed_and_sample(void **state)
{
	struct bench b = dropout(1, true);
	const struct rng others[] = { rng_make(5, RNG_DROPOUT, 1, 3),
				      rng_make(5, RNG_DROPOUT, 2, 2),
				      rng_make(6, RNG_DROPOUT, 1, 2) };
	struct rng first = b.call.rng;
	float before[1000];

	(void)state;
	objective(&b);
	memcpy(before, b.out, sizeof(before));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		b.call.rng = others[i];
		assert_in_range(differing(&b, before), 400, 600);
	}
	b.call.rng = first;
	assert_int_equal(differing(&b, before), 0);
	b.call.first = 1;
	assert_in_range(differing(&b, before), 400, 600);
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derivatives_match_central_differences),
		cmocka_unit_test(the_same_call_gives_the_same_bits),
		cmocka_unit_test(a_sample_does_not_depend_on_its_neighbours),
		cmocka_unit_test(not_a_number_is_passed_on),
		cmocka_unit_test(dropout_drops_its_share_and_scales_the_rest),
		cmocka_unit_test(dropout_does_nothing_in_evaluation),
		cmocka_unit_test(dropout_differs_by_step_layer_seed_and_sample),
	};

	cpu_threads(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
