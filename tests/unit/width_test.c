/* How many bits dq_sgd, adaqs and adaptive_rms take, and what the codes give on average. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "tests/unit/draws.h"
#include "tests/unit/part.h"

enum { STATE_MOST = 16 };

/* A scheme, and the state that it adapts. */
struct run {
	struct part part;
	float state[STATE_MOST];
	size_t step, steps;
};

static struct run begin(const char *scheme, const char *const *options, size_t steps)
{
	struct run run = { .part = part_with(registry_find(&compressors, scheme), options),
			   .steps = steps };

	assert_true(PART_AS(&run.part, struct compressor)->state_count <= STATE_MOST);
	return run;
}

/* The bits of the next step, after a vector of this norm. */
static double next(struct run *run, double norm)
{
	const struct compressor *compressor = PART_AS(&run->part, struct compressor);
	struct compress_step step = { .step = run->step,
				      .steps = run->steps,
				      .count = run->step ? 1000 : 0,
				      .norm2 = norm,
				      .norm_inf = norm,
				      .mean_abs = norm,
				      .deviation = 1 };

	compressor->adapt(run->part.params, &step, run->state);
	run->step++;
	return (double)run->state[0];
}

static void fixed_kappa_follows_the_rule(void **state)
{
	static const char *const options[] = { "mode",	   "fixed",   "kappa", "3",
					       "rounding", "nearest", NULL };
	struct run run = begin("dq_sgd", options, 500);

	(void)state;
	assert_true(next(&run, 0) == 8); /* nothing is known yet */
	for (double norm = 1e-3; norm < 1e4; norm *= 1.3) {
		double bits = fmin(fmax(nearbyint(log2(3 * norm + 1) + 1), 2), 8);

		assert_true(next(&run, norm) == bits);
	}
	part_release(&run.part);
}

static void doubling_the_norm_adds_a_bit_at_most(void **state)
{
	static const char *const options[] = { "mode", "fixed", "rounding", "nearest", NULL };
	struct run run = begin("dq_sgd", options, 500);
	double last = 0;

	(void)state;
	next(&run, 1);
	for (double norm = 1e-4; norm < 1e4; norm *= 2) {
		double bits = next(&run, norm);

		assert_true(bits >= last && (last == 0 || bits <= last + 1));
		last = bits;
	}
	part_release(&run.part);
}

static void later_steps_get_more_bits_with_decay(void **state)
{
	static const char *const options[] = { "mode", "fixed",	   "kappa",   "60", "decay",
					       "0.99", "rounding", "nearest", NULL };
	struct run run = begin("dq_sgd", options, 1000);
	double first, last;

	(void)state;
	next(&run, 1);
	first = last = next(&run, 1);
	for (int i = 2; i < 1000; i++) {
		double bits = next(&run, 1);

		assert_true(bits >= last);
		last = bits;
	}
	assert_true(first == 2 && last == 7);
	part_release(&run.part);
}

/* kappa^2 = L d eta / (6 (2 - L eta) error): 4 with these. */
static void an_error_target_decides_kappa(void **state)
{
	static const char *const options[] = { "mode",	   "error",   "smoothness", "2",
					       "lr",	   "0.5",     "error",	    "10.416666666",
					       "rounding", "nearest", NULL };
	struct run run = begin("dq_sgd", options, 100);

	(void)state;
	next(&run, 1);
	for (double norm = 0.5; norm < 20; norm *= 1.25)
		assert_true(next(&run, norm) ==
			    fmin(fmax(nearbyint(log2(4 * norm + 1) + 1), 2), 8));
	part_release(&run.part);
}

static void rounding_up_never_takes_less(void **state)
{
	static const char *const up[] = { "mode", "fixed", "rounding", "up", NULL };
	static const char *const nearest[] = { "mode", "fixed", "rounding", "nearest", NULL };
	struct run high = begin("dq_sgd", up, 100), low = begin("dq_sgd", nearest, 100);

	(void)state;
	for (double norm = 0.1; norm < 100; norm *= 1.2) {
		double more = next(&high, norm), less = next(&low, norm);

		assert_true(more >= less && more <= less + 1);
	}
	part_release(&high.part);
	part_release(&low.part);
}

/* Norms of step n, as trainings have them: level, falling, in steps, noisy. */
static double norm_at(int kind, size_t n, const struct rng *rng)
{
	double noise = exp(0.5 * rng_normal(rng, n)), t = (double)n;

	switch (kind) {
	case 0: return 1e-3;
	case 1: return 10 * exp(-t / 400) * noise;
	case 2: return (n < 700 ? 5 : 0.5) * noise;
	default: return noise * 1e6 / (1 + t / 50);
	}
}

static void budgets_are_kept(void **state)
{
	static const char *const budgets[] = { "3", "4.5", "6.25" };
	static const double means[] = { 3, 4.5, 6.25 };

	(void)state;
	for (size_t k = 0; k < 4 * ARRAY_SIZE(budgets) * 2; k++) {
		const char *options[] = { "budget", budgets[k % 3], "decay",
					  k / 12 ? "0.9995" : "1", NULL };
		struct run run = begin("dq_sgd", options, 1500);
		struct rng rng = rng_make(4, RNG_DATA, k, 0);
		double sum = 0;

		for (size_t n = 0; n < 1500; n++)
			sum += next(&run, norm_at((int)(k / 3 % 4), n, &rng));
		assert_true(fabs(sum / 1500 - means[k % 3]) <= 0.02);
		part_release(&run.part);
	}
}

/* Training on without an end: the mean still comes to the budget. */
static void budgets_are_kept_without_a_last_step(void **state)
{
	struct run run = begin("dq_sgd", NULL, 0);
	struct rng rng = rng_make(4, RNG_DATA, 99, 0);
	double sum = 0;

	(void)state;
	for (size_t n = 0; n < 6000; n++)
		sum += next(&run, norm_at(2, n, &rng));
	assert_true(fabs(sum / 6000 - 4.5) <= 0.05);
	part_release(&run.part);
}

static void a_larger_gradient_within_a_budget_gets_more_bits(void **state)
{
	struct run run = begin("dq_sgd", NULL, 2000);
	double large = 0, small = 0;

	(void)state;
	next(&run, 1);
	for (size_t n = 1; n < 2000; n++)
		*(n % 2 ? &large : &small) += next(&run, n % 2 ? 4 : 1);
	assert_true(large / 1000 > small / 1000 + 1);
	part_release(&run.part);
}

static void the_first_zeros_leave_the_level_alone(void **state)
{
	static const char *const schemes[] = { "dq_sgd", "adaqs", "adaptive_rms" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		struct run run = begin(schemes[i], NULL, 10);
		double first = next(&run, 0);

		assert_true(first >= 2 && first <= 8);
		for (int n = 0; n < 5; n++)
			assert_true(next(&run, 0) == first);
		part_release(&run.part);
	}
}

static void adaptive_rms_takes_a_bit_for_each_doubling(void **state)
{
	struct run run = begin("adaptive_rms", NULL, 100);

	(void)state;
	assert_true(next(&run, 0) == 6);
	assert_true(next(&run, 3) == 6);
	assert_true(next(&run, 6) == 7);
	assert_true(next(&run, 12) == 8);
	assert_true(next(&run, 1000) == 8);
	assert_true(next(&run, 1.5) == 5);
	assert_true(next(&run, 1e-9) == 2);
	part_release(&run.part);
}

static void adaqs_adds_a_bit_when_the_mean_has_halved(void **state)
{
	struct run run = begin("adaqs", NULL, 100);
	double mean = 8, bits = 0;

	(void)state;
	next(&run, 8);
	for (int halvings = 0; halvings < 6; halvings++, mean *= 0.45) {
		for (int n = 0; n < 100; n++)
			bits = next(&run, mean);
		assert_true(bits == fmin(4 + halvings, 8));
	}
	part_release(&run.part);
}

static size_t encoded(const struct run *run, const float *x, size_t count, uint64_t draw,
		      unsigned char *bytes)
{
	struct compress_input input = { .x = x,
					.count = count,
					.state = run->state,
					.rng = rng_make(1, RNG_COMPRESS, 0, draw) };

	return PART_AS(&run->part, struct compressor)->encode(run->part.params, &input, bytes);
}

/* Bits as the state says, the mean right, no coordinate off by more than a level, its sign kept. */
static void codes_are_unbiased_and_as_long_as_the_level_says(void **state)
{
	enum { COUNT = 77, DRAWS = 3000 };
	float x[COUNT];
	unsigned char bytes[5 + COUNT];

	(void)state;
	fill(x, COUNT, 3, 0.01);
	for (size_t k = 0; k < 14; k++) {
		const char *options[] = { "norm", k < 7 ? "inf" : "2", NULL };
		struct run run = begin("dq_sgd", options, 1);
		const struct compressor *dq = PART_AS(&run.part, struct compressor);
		double sum[COUNT] = { 0 }, squares = 0, norm = 0, level;
		unsigned bits = 2 + (unsigned)k % 7;

		run.state[0] = (float)bits;
		for (size_t i = 0; i < COUNT; i++) {
			norm = fmax(norm, fabs((double)x[i]));
			squares += (double)x[i] * x[i];
		}
		norm = k < 7 ? norm : sqrt(squares);
		level = norm / ((1 << (bits - 1)) - 1);
		for (uint64_t draw = 0; draw < DRAWS; draw++) {
			float y[COUNT] = { 0 };
			struct error err;
			size_t length = encoded(&run, x, COUNT, draw, bytes);

			assert_int_equal(length, 5 + (COUNT * bits + 7) / 8);
			assert_int_equal(
				dq->decode_add(run.part.params, bytes, length, 1, y, COUNT, &err),
				0);
			for (size_t i = 0; i < COUNT; i++) {
				assert_true(fabs((double)y[i] - x[i]) <= level * (1 + 1e-5));
				assert_true(y[i] * x[i] >= 0);
				sum[i] += y[i];
			}
		}
		for (size_t i = 0; i < COUNT; i++) {
			double part = fabs((double)x[i]) / level, up = part - floor(part);

			assert_true(fabs(sum[i] / DRAWS - x[i]) <=
				    5 * level * sqrt(up * (1 - up) / DRAWS) + 1e-5 * norm);
		}
		part_release(&run.part);
	}
}

static void damaged_widths_are_refused(void **state)
{
	float x[9] = { 1, 2, 3 }, y[9];
	unsigned char bytes[5 + 9];
	struct run run = begin("dq_sgd", NULL, 1);
	const struct compressor *dq = PART_AS(&run.part, struct compressor);
	struct error err;
	size_t length;

	(void)state;
	run.state[0] = 5;
	length = encoded(&run, x, 9, 0, bytes);
	for (unsigned width = 0; width < 256; width++) {
		bytes[0] = (unsigned char)width;
		assert_int_equal(dq->decode_add(run.part.params, bytes, length, 1, y, 9, &err),
				 width == 5 ? 0 : -1);
	}
	part_release(&run.part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_kappa_follows_the_rule),
		cmocka_unit_test(doubling_the_norm_adds_a_bit_at_most),
		cmocka_unit_test(later_steps_get_more_bits_with_decay),
		cmocka_unit_test(an_error_target_decides_kappa),
		cmocka_unit_test(rounding_up_never_takes_less),
		cmocka_unit_test(budgets_are_kept),
		cmocka_unit_test(budgets_are_kept_without_a_last_step),
		cmocka_unit_test(a_larger_gradient_within_a_budget_gets_more_bits),
		cmocka_unit_test(the_first_zeros_leave_the_level_alone),
		cmocka_unit_test(adaptive_rms_takes_a_bit_for_each_doubling),
		cmocka_unit_test(adaqs_adds_a_bit_when_the_mean_has_halved),
		cmocka_unit_test(codes_are_unbiased_and_as_long_as_the_level_says),
		cmocka_unit_test(damaged_widths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
