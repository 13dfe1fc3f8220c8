/* Every layer in the registry: its derivatives, and what its results may depend on. */
#include "tests/unit/unit.h"

#include "runtime/device/cpu.h"
#include "runtime/device/kernels.h"
#include "tests/unit/difference.h"
#include "tests/unit/layer_bench.h"

static const struct {
	struct shape shape;
	bool words, sparse;
} inputs[] = {
	{ { .dim = { 1 }, .rank = 1 } },
	{ { .dim = { 7 }, .rank = 1 } },
	{ { .dim = { 3, 5 }, .rank = 2 } },
	{ { .dim = { 5, 4 }, .rank = 2 } },
	{ { .dim = { 2, 3, 3 }, .rank = 3 } },
	{ { .dim = { 4, 6, 6 }, .rank = 3 } },
	{ { .dim = { 3, 9, 8 }, .rank = 3 } },
	{ { .dim = { 6 }, .rank = 1 }, .words = true },
	{ { .dim = { 1 }, .rank = 1 }, .words = true },
	{ { .dim = { BENCH_COLUMNS }, .rank = 1 }, .sparse = true },
	{ { .dim = { 5 }, .rank = 1 }, .sparse = true },
};

/* Called with a bench that was just made. */
typedef void visit(struct bench *bench);

/* Returns whether the layer takes such a trial. */
static bool try(const struct trial *trial, visit *check)
{
	const struct layer *layer = (const struct layer *)trial->entry;
	struct error err = { "" };
	struct bench b;

	if ((trial->relu && !layer->takes_relu) || (trial->sparse && !layer->takes_sparse))
		return false;
	if (!bench_init(&b, trial, &err)) {
		assert_string_not_equal(err.text, "");
		return false;
	}
	/* What has no tensors is asked for nothing but the slope by its input. */
	if (bench_has_slope(&b) || b.plan.tensors)
		check(&b);
	bench_release(&b);
	return true;
}

/* All inputs with these options; returns how many the layer takes. */
static size_t try_inputs(const struct entry *entry, const char *const *options, size_t batch,
			 visit *check)
{
	size_t taken = 0;

	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		struct trial trial = { .entry = entry,
				       .options = options,
				       .input = inputs[i].shape,
				       .words = inputs[i].words,
				       .sparse = inputs[i].sparse,
				       .batch = batch,
				       .training = true };

		taken += try(&trial, check);
		trial.relu = true;
		try(&trial, check);
	}
	return taken;
}

static bool in_range(const struct opt *row, double value)
{
	return (row->min == 0 && row->max == 0) || (value >= row->min && value <= row->max);
}

/* One option at a time is not what it is by default. */
static void try_options(const struct entry *entry, visit *check)
{
	static const char *const counts[] = { "2", "3" };

	for (const struct opt *row = entry->options; row && row->key; row++) {
		const char *options[] = { row->key, NULL, NULL };

		for (size_t i = 0; i < 2 && row->type == OPT_COUNT; i++) {
			options[1] = counts[i];
			if (in_range(row, (double)i + 2))
				try_inputs(entry, options, 3, check);
		}
		for (size_t i = 0; row->type == OPT_CHOICE && row->choices[i]; i++) {
			options[1] = row->choices[i];
			try_inputs(entry, options, 3, check);
		}
		if (row->type == OPT_BOOL) {
			options[1] = strcmp(row->fallback, "no") == 0 ? "yes" : "no";
			try_inputs(entry, options, 3, check);
		}
	}
}

static void for_each(visit *check)
{
	for (size_t e = 0; layers.entries[e]; e++) {
		try_inputs(layers.entries[e], NULL, 1, check);
		try_inputs(layers.entries[e], NULL, BENCH_BATCH, check);
		try_options(layers.entries[e], check);
	}
}

static void ignore(struct bench *b)
{
	(void)b;
}

static void every_layer_takes_some_inputs(void **state)
{
	(void)state;
	for (size_t e = 0; layers.entries[e]; e++)
		if (try_inputs(layers.entries[e], NULL, 1, ignore) < 2)
			fail_msg("%s takes fewer than two of the inputs here",
				 layers.entries[e]->name);
}

/* A number whose derivative by out[i] is dout[i]. */
static double objective(void *bench)
{
	struct bench *b = bench;
	double sum = 0;

	bench_forward(b);
	for (size_t i = 0; i < b->call.batch * b->call.outputs; i++)
		sum += (double)b->out[i] * b->dout[i];
	return sum;
}

/*
 * Steps and what they miss, a share of 1 + the derivative. Steps are powers of two, so that x + h
 * and x - h are exact but for a rounding. Truncation is h^2/6 times the third derivative: below
 * 2.1e-5 for the first step if that is below 2; the smaller ones serve what is more curved.
 * Rounding of sums of a hundred products is 1e-6 / 2h; the largest step serves what is divided by
 * next to nothing, as the deviation of a single number is.
 */
static const struct {
	float h;
	double most;
} steps[] = { { 0x1p-7f, 2e-4 }, { 0x1p-9f, 4e-4 }, { 0x1p-12f, 3e-3 }, { 0x1p-4f, 1e-3 } };

static bool is_derivative(struct bench *b, float *x, double slope)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (difference_miss(objective, b, x, slope, steps[i].h) <=
		    steps[i].most * (1 + fabs(slope)))
			return true;
	return false;
}

/* At most a dozen. */
static void compare(struct bench *b, float *x, const float *derivative, size_t count)
{
	for (size_t i = 0; i < count; i += 1 + count / 12)
		if (!is_derivative(b, &x[i], derivative[i]))
			fail_msg("%s of %zu numbers: derivative %zu of %zu is not %g, by %g",
				 b->layer->entry.name, b->call.inputs, i, count,
				 (double)derivative[i],
				 difference_miss(objective, b, &x[i], derivative[i], 0x1p-9f));
}

static void check_derivatives(struct bench *b)
{
	size_t count = b->call.batch * b->call.inputs;

	bench_forward(b);
	bench_backward(b);
	if (bench_has_slope(b))
		compare(b, b->in, b->din, count);
	if (b->layer->joins)
		compare(b, b->in2, b->din2, count);
	for (size_t i = 0; i < b->plan.tensors; i++)
		if (b->plan.tensor[i].rate == 0)
			compare(b, b->tensor[i], b->grad[i], b->count[i]);
}

static void derivatives_match_differences(void **state)
{
	(void)state;
	for_each(check_derivatives);
}

static bool near(const float *x, const float *y, size_t count, float tolerance)
{
	for (size_t i = 0; i < count; i++)
		if (!(fabsf(x[i] - y[i]) <= tolerance * (1 + fabsf(y[i]))))
			return false;
	return true;
}

static void check_relu(struct bench *b)
{
	size_t count = b->call.batch * b->call.outputs;
	float *after = xaligned(count * sizeof(float));

	if (b->trial.relu) {
		bench_forward(b);
		memcpy(after, b->out, count * sizeof(float));
		b->call.relu = false;
		bench_forward(b);
		for (size_t i = 0; i < count; i++)
			b->out[i] = b->out[i] > 0 ? b->out[i] : 0;
		if (!near(after, b->out, count, 1e-6f))
			fail_msg("%s: its relu is another one", b->layer->entry.name);
	}
	free(after);
}

static void a_relu_of_the_layers_own_is_as_one_behind_it(void **state)
{
	(void)state;
	for_each(check_relu);
}

/* All that a layer computes, one behind the other. */
struct results {
	float *x;
	size_t count;
};

static void add_results(struct results *results, const float *x, size_t count)
{
	results->x = xrealloc(results->x, results->count + count + 1, sizeof(*results->x));
	memcpy(results->x + results->count, x, count * sizeof(*x));
	results->count += count;
}

static void add_backward(struct bench *b, struct results *results)
{
	size_t ins = b->call.batch * b->call.inputs;

	if (bench_has_slope(b))
		add_results(results, b->din, ins);
	if (b->layer->joins)
		add_results(results, b->din2, ins);
	for (size_t i = 0; i < b->plan.tensors; i++)
		add_results(results, b->grad[i], b->count[i]);
}

static struct results results_of(struct bench *b)
{
	struct results results = { 0 };

	bench_forward(b);
	bench_backward(b);
	add_results(&results, b->out, b->call.batch * b->call.outputs);
	add_backward(b, &results);
	return results;
}

static void check_threads(struct bench *b)
{
	struct results alone = results_of(b), again = results_of(b);
	struct error err;

	assert_memory_equal(again.x, alone.x, alone.count * sizeof(float));
	for (size_t threads = 2; threads <= 3; threads++) {
		struct trial trial = b->trial;
		struct bench team;
		struct results results;

		trial.threads = threads;
		assert_true(bench_init(&team, &trial, &err));
		results = results_of(&team);
		if (memcmp(results.x, alone.x, alone.count * sizeof(float)) != 0)
			fail_msg("%s: %zu threads change the result", b->layer->entry.name,
				 threads);
		free(results.x);
		bench_release(&team);
	}
	free(alone.x);
	free(again.x);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
	(void)state;
	for (size_t e = 0; layers.entries[e]; e++)
		try_inputs(layers.entries[e], NULL, BENCH_BATCH, check_threads);
}

static void check_kernels(struct bench *b)
{
	struct results plain, other;

	kernels_choose(kernels_all()[0]);
	plain = results_of(b);
	for (size_t i = 1; kernels_all()[i]; i++) {
		kernels_choose(kernels_all()[i]);
		other = results_of(b);
		if (!near(other.x, plain.x, plain.count, 1e-4f))
			fail_msg("%s: on %s it is another result", b->layer->entry.name,
				 kernels_all()[i]->isa);
		free(other.x);
	}
	kernels_choose(NULL);
	free(plain.x);
}

static void every_instruction_set_gives_nearly_the_same(void **state)
{
	(void)state;
	for_each(check_kernels);
}

/* What it reads is overwritten by what it writes, in both directions. */
static void check_in_place(struct bench *b)
{
	size_t count = b->call.batch * b->call.inputs;
	struct results apart, together = { 0 };
	float *in = xaligned(count * sizeof(float)), *slope = xaligned(count * sizeof(float));

	if (b->layer->in_place && bench_has_slope(b)) {
		apart = results_of(b);
		memcpy(in, b->in, count * sizeof(float));
		memcpy(slope, b->dout, count * sizeof(float));
		bench_forward_to(b, b->in);
		add_results(&together, b->in, count);
		memcpy(b->out, b->in, count * sizeof(float));
		if (b->layer->reads_in)
			memcpy(b->in, in, count * sizeof(float));
		bench_backward_to(b, slope, slope);
		memcpy(b->din, slope, count * sizeof(float));
		add_backward(b, &together);
		if (memcmp(together.x, apart.x, apart.count * sizeof(float)) != 0)
			fail_msg("%s: in place it is another result", b->layer->entry.name);
		free(apart.x);
		free(together.x);
	}
	free(in);
	free(slope);
}

static void what_works_in_place_gives_the_same_there(void **state)
{
	(void)state;
	for_each(check_in_place);
}

static void check_accumulation(struct bench *b)
{
	float *first[LAYER_TENSORS];

	if (!b->layer->accumulates)
		return;
	bench_forward(b);
	bench_backward(b);
	for (size_t i = 0; i < b->plan.tensors; i++) {
		first[i] = b->grad[i];
		b->grad[i] = filled(b->count[i], 20 + i, 0);
	}
	bench_forward(b);
	b->call.accumulate = true;
	bench_backward(b);
	for (size_t i = 0; i < b->plan.tensors; i++) {
		float *before = filled(b->count[i], 20 + i, 0);

		cpu_add(first[i], before, b->count[i]);
		assert_true(near(b->grad[i], first[i], b->count[i], 1e-5f));
		free(before);
		free(first[i]);
	}
}

static void what_accumulates_adds_to_the_gradient(void **state)
{
	(void)state;
	for_each(check_accumulation);
}

static void check_sparse(struct bench *b)
{
	struct trial trial = b->trial;
	struct results sparse, dense;
	struct bench other;
	struct error err;

	trial.sparse = false;
	if (!b->trial.sparse || !bench_init(&other, &trial, &err))
		return;
	memcpy(other.in, b->in, b->call.batch * b->call.inputs * sizeof(float));
	other.trial.words = true; /* asks for no slope */
	sparse = results_of(b);
	dense = results_of(&other);
	assert_int_equal(sparse.count, dense.count);
	assert_true(near(sparse.x, dense.x, dense.count, 1e-5f));
	free(sparse.x);
	free(dense.x);
	bench_release(&other);
}

static void sparse_samples_give_what_dense_ones_do(void **state)
{
	(void)state;
	for_each(check_sparse);
}

/* Samples alone, at their places in the batch of all ranks. */
static void check_alone(struct bench *b)
{
	float *alone = xaligned(b->call.outputs * sizeof(float));

	bench_forward(b);
	for (size_t i = 0; i < b->trial.batch; i++) {
		struct layer_call one = *bench_call(b);

		one.batch = 1;
		one.first = i;
		one.in2 += one.in2 ? i * b->call.inputs : 0;
		one.rows += one.rows ? i : 0;
		b->layer->forward(&one, b->in + i * b->call.inputs, alone);
		if (!near(alone, b->out + i * b->call.outputs, b->call.outputs, 1e-5f))
			fail_msg("%s: sample %zu depends on others", b->layer->entry.name, i);
	}
	free(alone);
}

static bool has_statistics(const struct bench *b)
{
	for (size_t i = 0; i < b->plan.tensors; i++)
		if (b->plan.tensor[i].rate > 0)
			return true;
	return false;
}

static void check_neighbours(struct bench *b)
{
	if (!has_statistics(b))
		check_alone(b);
	b->call.training = false;
	check_alone(b);
}

static void a_sample_does_not_depend_on_its_neighbours(void **state)
{
	(void)state;
	for_each(check_neighbours);
}

static void step_statistics(struct bench *b)
{
	bench_forward(b);
	bench_backward(b);
	for (size_t i = 0; i < b->plan.tensors; i++)
		if (b->plan.tensor[i].rate > 0)
			cpu_axpy(b->tensor[i], -(float)b->plan.tensor[i].rate, b->grad[i],
				 b->count[i]);
}

/* Steps with one batch bring the statistics to what evaluation needs to do the same as training,
 * but that the variance may be estimated for a population: n / (n - 1) times that of a batch. */
static void check_statistics(struct bench *b)
{
	size_t count = b->call.batch * b->call.outputs;
	float *trained = xaligned(count * sizeof(float));

	if (has_statistics(b) && b->call.batch == BENCH_BATCH) {
		for (size_t step = 0; step < 200; step++)
			step_statistics(b);
		memcpy(trained, b->out, count * sizeof(float));
		b->call.training = false;
		bench_forward(b);
		if (!near(b->out, trained, count, 0.1f))
			fail_msg("%s: its statistics lead elsewhere", b->layer->entry.name);
	}
	free(trained);
}

static void statistics_become_those_of_the_batches(void **state)
{
	(void)state;
	for_each(check_statistics);
}

static void check_not_a_number(struct bench *b)
{
	bool found = false;

	if (!bench_has_slope(b))
		return;
	b->call.training = false;
	b->in[0] = NAN;
	bench_forward(b);
	for (size_t i = 0; i < b->call.batch * b->call.outputs; i++)
		found |= isnan(b->out[i]);
	if (!found)
		fail_msg("%s: what is not a number gets lost", b->layer->entry.name);
}

static void not_a_number_is_passed_on(void **state)
{
	(void)state;
	for_each(check_not_a_number);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_layer_takes_some_inputs),
		cmocka_unit_test(derivatives_match_differences),
		cmocka_unit_test(a_relu_of_the_layers_own_is_as_one_behind_it),
		cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
		cmocka_unit_test(every_instruction_set_gives_nearly_the_same),
		cmocka_unit_test(what_works_in_place_gives_the_same_there),
		cmocka_unit_test(what_accumulates_adds_to_the_gradient),
		cmocka_unit_test(sparse_samples_give_what_dense_ones_do),
		cmocka_unit_test(a_sample_does_not_depend_on_its_neighbours),
		cmocka_unit_test(statistics_become_those_of_the_batches),
		cmocka_unit_test(not_a_number_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
