/* What dropout leaves out, and what decides that. */
#include "tests/unit/unit.h"

#include "tests/unit/layer_bench.h"

static struct bench dropout(size_t batch, bool training)
{
	const struct trial trial = { .entry = registry_find(&layers, "dropout"),
				     .input = { .dim = { 1000 }, .rank = 1 },
				     .batch = batch,
				     .training = training };
	struct bench b;
	struct error err;

	assert_true(bench_init(&b, &trial, &err));
	return b;
}

static void dropout_drops_its_share_and_scales_the_rest(void **state)
{
	struct bench b = dropout(8, true);
	size_t dropped = 0;

	(void)state;
	bench_forward(&b);
	for (size_t i = 0; i < 8000; i++) {
		dropped += b.out[i] == 0;
		assert_true(b.out[i] == 0 || b.out[i] == 2 * b.in[i]);
	}
	assert_in_range(dropped, 3775, 4225); /* 4000, five deviations of 45 */
	bench_release(&b);
}

static void dropout_does_nothing_in_evaluation(void **state)
{
	struct bench b = dropout(2, false);

	(void)state;
	bench_forward(&b);
	assert_memory_equal(b.out, b.in, 2000 * sizeof(float));
	bench_release(&b);
}

static size_t differing(struct bench *b, const float *before)
{
	size_t count = 0;

	bench_forward(b);
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
	bench_forward(&b);
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
		cmocka_unit_test(dropout_drops_its_share_and_scales_the_rest),
		cmocka_unit_test(dropout_does_nothing_in_evaluation),
		cmocka_unit_test(dropout_differs_by_step_layer_seed_and_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
