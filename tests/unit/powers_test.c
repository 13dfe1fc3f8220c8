/* Schemes of signs and exponents: natural and bf16. */
#include "tests/unit/unit.h"

#include <float.h>
#include <string.h>

#include "tests/unit/draws.h"
#include "tests/unit/part.h"

enum { COUNT = 701, DRAWS = 2000 };

static float *gradient(size_t count)
{
	struct rng rng = rng_make(3, RNG_DATA, 0, 0);
	float *x = xcalloc(count, sizeof(*x));

	for (size_t i = 0; i < count; i++)
		x[i] = (float)(rng_normal(&rng, 2 * i) * exp(3 * rng_normal(&rng, 2 * i + 1)));
	return x;
}

static void natural_is_right_on_average_with_the_exact_variance(void **state)
{
	struct part part = part_default(&compressors, "natural");
	double variance[COUNT];
	float *x = gradient(COUNT);

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		double size = fabs((double)x[i]), power = ldexp(1, ilogb(size));

		variance[i] = (size - power) * (2 * power - size);
		assert_true(variance[i] <= size * size / 8);
	}
	check_draws(&part, x, variance, COUNT, DRAWS);
	part_release(&part);
	free(x);
}

static void natural_gives_a_power_of_two_next_to_each_number(void **state)
{
	struct part part = part_default(&compressors, "natural");
	float *x = gradient(COUNT), *y = xcalloc(COUNT, sizeof(*y));

	(void)state;
	assert_int_equal(decoded(&part, x, COUNT, 0, y), COUNT + 1);
	for (size_t i = 0; i < COUNT; i++) {
		double power = ldexp(1, ilogb((double)x[i])), size = fabs((double)y[i]);

		assert_true(size == power || size == 2 * power);
		assert_true(y[i] * x[i] > 0);
	}
	part_release(&part);
	free(x);
	free(y);
}

/* From the largest power that floats have down to the lowest beside it, and below. */
static void natural_spans_126_powers_and_rounds_less_at_random(void **state)
{
	enum { TINY = 4000 };
	struct part part = part_default(&compressors, "natural");
	float *x = xcalloc(TINY, sizeof(*x)), *y = xcalloc(TINY, sizeof(*y));
	size_t up = 0;

	(void)state;
	x[0] = -FLT_MAX;
	x[1] = 2; /* the lowest power: 2^(127 - 126) */
	x[2] = -1e38f;
	for (size_t i = 3; i < TINY; i++)
		x[i] = 0.5f; /* a quarter of it */
	decoded(&part, x, TINY, 0, y);
	assert_true(y[0] == -0x1p127f && y[1] == 2);
	assert_true(y[2] == -0x1p126f || y[2] == -0x1p127f);
	for (size_t i = 3; i < TINY; i++) {
		assert_true(y[i] == 0 || y[i] == 2);
		up += y[i] == 2;
	}
	assert_in_range(up, 860, 1140); /* 1000, five deviations of 27 */
	part_release(&part);
	free(x);
	free(y);
}

static void natural_refuses_exponents_beyond_those_of_floats(void **state)
{
	static const unsigned char bad[] = { 0, 129, 255 };
	struct part part = part_default(&compressors, "natural");
	const struct compressor *natural = (const struct compressor *)part.entry;
	float y[1] = { 0 };
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad); i++) {
		unsigned char bytes[2] = { bad[i], 1 };

		assert_int_equal(natural->decode_add(part.params, bytes, 2, 1, y, 1, &err), -1);
	}
	assert_int_equal(
		natural->decode_add(part.params, (unsigned char[]){ 128, 127 }, 2, 1, y, 1, &err),
		0);
	assert_true(y[0] == 0x1p127f);
	part_release(&part);
}

static float through_bf16(float value)
{
	struct part part = part_default(&compressors, "bf16");
	float y = 0;

	assert_int_equal(decoded(&part, &value, 1, 0, &y), 2);
	part_release(&part);
	return y;
}

static void bf16_rounds_to_the_nearest_even(void **state)
{
	static const float pairs[][2] = {
		{ 1, 1 },
		{ 1 + 0x1p-8f, 1 },		   /* half way, even below */
		{ 1 + 3 * 0x1p-8f, 1 + 0x1p-6f },  /* half way, even above */
		{ 1 + 0x1.0002p-8f, 1 + 0x1p-7f }, /* just above half way */
		{ -(2 - 0x1p-8f), -2 },		   /* carries into the exponent */
		{ 0x1.fep127f, 0x1.fep127f },	   /* the largest */
		{ 0x1.fefffep127f, 0x1.fep127f },  /* the last that does not overflow */
		{ FLT_MAX, INFINITY },
		{ 0x1p-133f, 0x1p-133f }, /* the smallest */
		{ 0x1p-134f, 0 },	  /* half way to it, even is zero */
		{ 3 * 0x1p-134f, 0x1p-132f },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_true(through_bf16(pairs[i][0]) == pairs[i][1]);
	assert_true(isnan(through_bf16(NAN)));
}

static void bf16_gives_back_every_number_it_has(void **state)
{
	enum { ALL = 0x7f80 };
	struct part part = part_default(&compressors, "bf16");
	float *x = xcalloc(2 * ALL, sizeof(*x)), *y = xcalloc(2 * ALL, sizeof(*y));

	(void)state;
	for (uint32_t i = 0; i < ALL; i++) {
		uint32_t bits = i << 16;

		memcpy(&x[2 * i], &bits, sizeof(bits));
		x[2 * i + 1] = -x[2 * i];
	}
	decoded(&part, x, 2 * ALL, 0, y);
	for (size_t i = 0; i < 2 * ALL; i++)
		assert_true(x[i] == y[i]);
	part_release(&part);
	free(x);
	free(y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(natural_is_right_on_average_with_the_exact_variance),
		cmocka_unit_test(natural_gives_a_power_of_two_next_to_each_number),
		cmocka_unit_test(natural_spans_126_powers_and_rounds_less_at_random),
		cmocka_unit_test(natural_refuses_exponents_beyond_those_of_floats),
		cmocka_unit_test(bf16_rounds_to_the_nearest_even),
		cmocka_unit_test(bf16_gives_back_every_number_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
