/* Coordinates at random: their chances against what is known of the best ones, and brute force. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/compress/chances.h"
#include "tests/unit/draws.h"
#include "tests/unit/part.h"

enum { COUNT = 400, KINDS = 4 };

/* Gaussian, heavy-tailed, log-normal, mostly zero. */
static void draw_vector(float *x, int kind)
{
	struct rng rng = rng_make(23, RNG_DATA, (uint64_t)kind, 0);

	for (size_t i = 0; i < COUNT; i++) {
		double normal = rng_normal(&rng, 2 * i), uniform = rng_uniform(&rng, 2 * i + 1);
		double values[KINDS] = { normal, normal / (uniform * uniform + 1e-4),
					 copysign(exp(2 * normal), uniform - 0.5),
					 uniform < 0.8 ? 0 : normal };

		x[i] = (float)values[kind];
	}
}

static double chance(const struct chances *chances, float x)
{
	return fmin(1, fabs((double)x) / (double)chances->size);
}

static void chances_add_up_to_the_number(void **state)
{
	static const double numbers[] = { 0.5, 1, 7.3, 40, 65 };
	float x[COUNT];

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		draw_vector(x, kind);
		for (size_t k = 0; k < ARRAY_SIZE(numbers); k++) {
			struct chances chances = chances_of(x, COUNT, numbers[k]);
			double sum = 0, squares = 0, spread = 0;

			for (size_t i = 0; i < COUNT; i++) {
				double p = chance(&chances, x[i]), square = pow((double)x[i], 2);

				sum += p;
				squares += square;
				spread += p > 0 ? square / p : 0;
			}
			assert_true(fabs(sum / numbers[k] - 1) < 1e-5);
			assert_true(fabs(chances.number / numbers[k] - 1) < 1e-5);
			assert_true(fabs(chances.omega / (squares / spread) - 1) < 1e-5);
			assert_true(chances.omega > 0 && chances.omega <= 1 + 1e-6);
		}
	}
}

/* Whatever is taken from one chance and given to another makes sum x^2 / p no smaller. */
static void no_other_chances_have_less_variance(void **state)
{
	struct rng rng = rng_make(29, RNG_DATA, 0, 0);
	float x[COUNT];

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		struct chances chances;

		draw_vector(x, kind);
		chances = chances_of(x, COUNT, 40);
		for (uint64_t trial = 0; trial < 5000; trial++) {
			float from = x[rng_below(&rng, 3 * trial, COUNT)];
			float to = x[rng_below(&rng, 3 * trial + 1, COUNT)];
			double p = chance(&chances, from), q = chance(&chances, to);
			double moved = fmin(p / 2, 1 - q) * rng_uniform(&rng, 3 * trial + 2);
			double before = pow((double)from, 2) / p + pow((double)to, 2) / q;
			double after = pow((double)from, 2) / (p - moved) +
				       pow((double)to, 2) / (q + moved);

			assert_true(after >= before * (1 - 1e-6));
		}
	}
}

static int larger_first(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* The largest omega / price of all whole numbers, by sorting. */
static double best_by_force(const struct cutoff_rule *rule, const float *x)
{
	double sizes[COUNT], squares = 0, best = 0;

	for (size_t i = 0; i < COUNT; i++) {
		sizes[i] = fabs((double)x[i]);
		squares += sizes[i] * sizes[i];
	}
	qsort(sizes, COUNT, sizeof(*sizes), larger_first);
	for (size_t number = 1; number <= COUNT && sizes[number - 1] > 0; number++) {
		double rest = 0, certain = 0;
		size_t k = 0;

		for (size_t i = 0; i < COUNT; i++)
			rest += sizes[i];
		for (; (double)(number - k) * sizes[k] > rest && k < number; k++) {
			rest -= sizes[k];
			certain += sizes[k] * sizes[k];
		}
		if (k < number)
			certain += rest * rest / (double)(number - k);
		best = fmax(best, squares / certain /
					  cutoff_price(&rule->cost,
						       rule->header + (double)number * rule->each));
	}
	return best;
}

static void the_number_is_nearly_as_good_as_the_best(void **state)
{
	static const struct cutoff_cost costs[] = { { 0, 1, 0 },	  { 100, 0.125, 0 },
						    { 5000, 0.125, 0 },	  { 0, 1518, 8 * 1460 },
						    { 64, 576, 8 * 512 }, { 1270, 127, 800 } };
	float x[COUNT];

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		draw_vector(x, kind);
		for (size_t k = 0; k < ARRAY_SIZE(costs); k++) {
			struct cutoff_rule rule = { .cost = costs[k], .each = 32 + 9 };
			struct chances chances = chances_choose(&rule, x, COUNT);
			double bits = chances.number * rule.each * (1 - 1e-6);
			double reached = chances.omega / cutoff_price(&rule.cost, bits);

			if (reached < 0.97 * best_by_force(&rule, x))
				fail_msg("kind %d, cost %zu: %g of %g", kind, k, reached,
					 best_by_force(&rule, x));
		}
	}
}

static void a_zero_vector_needs_none(void **state)
{
	float x[COUNT] = { 0 };
	struct cutoff_rule rule = { .cost = { 100, 0.125, 0 }, .each = 41 };

	(void)state;
	assert_true(chances_choose(&rule, x, COUNT).number == 0);
}

/* What is decoded, over the factor, is x on average, with the variance x^2 (1 - p) / p. */
static void what_is_sent_is_right_on_average_before_the_factor(void **state)
{
	static const char *const options[] = { "variant", "stochastic", "cost", "affine", NULL };
	enum { DRAWS = 3000 };
	struct part part = part_with(registry_find(&compressors, "cat"), options);
	struct cutoff_rule rule = { .cost = { 64, 0.125, 0 }, .each = 32 + 9, .dense = 32 * COUNT };
	double sum[COUNT] = { 0 };
	struct chances chances;
	float x[COUNT], y[COUNT];

	(void)state;
	draw_vector(x, 1);
	chances = chances_choose(&rule, x, COUNT);
	assert_true(chances.number > 1 && !chances.dense);
	for (uint64_t draw = 0; draw < DRAWS; draw++) {
		decoded(&part, x, COUNT, draw, y);
		for (size_t i = 0; i < COUNT; i++)
			sum[i] += (double)y[i] / chances.omega;
	}
	for (size_t i = 0; i < COUNT; i++) {
		double p = chance(&chances, x[i]), size = fabs((double)x[i]);
		double variance = p > 0 ? size * size * (1 - p) / p : 0;

		assert_true(fabs(sum[i] / DRAWS - (double)x[i]) <=
			    5 * sqrt(variance / DRAWS) + 5 * size / (p * DRAWS + 1e-9) * (p < 1) +
				    1e-5 * size);
	}
	part_release(&part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chances_add_up_to_the_number),
		cmocka_unit_test(no_other_chances_have_less_variance),
		cmocka_unit_test(the_number_is_nearly_as_good_as_the_best),
		cmocka_unit_test(a_zero_vector_needs_none),
		cmocka_unit_test(what_is_sent_is_right_on_average_before_the_factor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
