/* Schemes of evenly spread values: qsgd and terngrad, at random, and int8, to the nearest. */
#include "tests/unit/unit.h"

#include <float.h>
#include <string.h>

#include "tests/unit/draws.h"
#include "tests/unit/part.h"

enum { COUNT = 1301, DRAWS = 2000 };

static struct part scheme(const char *name, const char *const *options)
{
	return part_with(registry_find(&compressors, name), options);
}

static struct part qsgd(const char *bits, const char *norm, const char *block)
{
	return scheme("qsgd",
		      (const char *const[]){ "bits", bits, "norm", norm, "block", block, NULL });
}

static double norm_of(const float *x, size_t count, bool infinity)
{
	double sum = 0, largest = 0;

	for (size_t i = 0; i < count; i++) {
		sum += (double)x[i] * x[i];
		largest = fmax(largest, fabs((double)x[i]));
	}
	return infinity ? largest : sqrt(sum);
}

/* Heavy tails, and some zeros. */
static float *gradient(size_t count)
{
	struct rng rng = rng_make(3, RNG_DATA, 0, 0);
	float *x = xcalloc(count, sizeof(*x));

	for (size_t i = 0; i < count; i++) {
		double value = rng_normal(&rng, 2 * i);

		x[i] = i % 17 ? (float)(value * exp(rng_normal(&rng, 2 * i + 1))) : 0;
	}
	return x;
}

static void check_unbiased(const struct part *part, double norm, unsigned s, const float *x,
			   size_t count)
{
	double *variance = xcalloc(count, sizeof(*variance));

	for (size_t i = 0; i < count; i++) {
		double u = s * fabs((double)x[i]) / norm, f = u - floor(u);

		variance[i] = norm / s * (norm / s) * f * (1 - f);
	}
	check_draws(part, x, variance, count, DRAWS);
	free(variance);
}

static void levels_are_right_on_average_with_the_exact_variance(void **state)
{
	enum { FEW = 300 };
	static const struct {
		const char *bits, *norm;
		unsigned s;
	} all[] = { { "2", "inf", 1 }, { "3", "2", 3 }, { "4", "inf", 7 }, { "8", "2", 127 } };
	float *x = gradient(FEW);
	struct part part = part_default(&compressors, "terngrad");

	(void)state;
	check_unbiased(&part, norm_of(x, FEW, true), 1, x, FEW);
	part_release(&part);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		part = qsgd(all[i].bits, all[i].norm, "0");
		check_unbiased(&part, norm_of(x, FEW, *all[i].norm == 'i'), all[i].s, x, FEW);
		part_release(&part);
	}
	free(x);
}

/* |Q(x) - x| <= norm / s, the sign is kept or the value 0, and values are levels. */
static void check_levels(const struct part *part, double norm, unsigned s, const float *x)
{
	float *y = xcalloc(COUNT, sizeof(*y));

	decoded(part, x, COUNT, 4, y);
	for (size_t i = 0; i < COUNT; i++) {
		double level = fabs((double)y[i]) * s / norm;

		assert_true(fabs((double)y[i] - (double)x[i]) <= norm / s * (1 + 1e-5));
		assert_true((double)y[i] * (double)x[i] >= 0);
		assert_true(level <= s * (1 + 1e-6) && fabs(level - round(level)) < 1e-4);
		assert_true(y[i] == 0 || x[i] != 0);
	}
	free(y);
}

static void every_value_is_one_of_the_two_next_levels(void **state)
{
	static const char *const bits[] = { "2", "3", "4", "5", "6", "7", "8" };
	float *x = gradient(COUNT);
	struct part part = part_default(&compressors, "terngrad");

	(void)state;
	check_levels(&part, norm_of(x, COUNT, true), 1, x);
	part_release(&part);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		part = qsgd(bits[i], "inf", "0");
		check_levels(&part, norm_of(x, COUNT, true), (2u << i) - 1, x);
		part_release(&part);
		part = qsgd(bits[i], "2", "0");
		check_levels(&part, norm_of(x, COUNT, false), (2u << i) - 1, x);
		part_release(&part);
	}
	free(x);
}

/* With the same random numbers; up to where floats end. */
static void what_is_scaled_by_a_power_of_two_is_so_decoded(void **state)
{
	static const int powers[] = { -90, -60, -5, 1, 7, 61, 110 };
	static const char *const names[] = { "qsgd", "terngrad" };
	float *x = gradient(COUNT), *y = xcalloc(COUNT, sizeof(*y));
	float *scaled = xcalloc(COUNT, sizeof(*scaled)), *z = xcalloc(COUNT, sizeof(*z));

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct part part = part_default(&compressors, names[n]);

		decoded(&part, x, COUNT, 4, y);
		for (size_t k = 0; k < ARRAY_SIZE(powers); k++) {
			for (size_t i = 0; i < COUNT; i++)
				scaled[i] = ldexpf(x[i], powers[k]);
			decoded(&part, scaled, COUNT, 4, z);
			for (size_t i = 0; i < COUNT; i++)
				assert_true(z[i] == ldexpf(y[i], powers[k]));
		}
		part_release(&part);
	}
	free(x);
	free(y);
	free(scaled);
	free(z);
}

static void payloads_are_as_long_as_their_bits(void **state)
{
	static const char *const bits[] = { "2", "3", "4", "5", "6", "7", "8" };
	static const size_t counts[] = { 1, 5, 9, 639, 640, 641, COUNT };
	float *x = gradient(COUNT), *y = xcalloc(COUNT, sizeof(*y));
	struct part part;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
		size_t d = counts[k];

		for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
			part = qsgd(bits[i], "inf", "0");
			assert_int_equal(decoded(&part, x, d, 0, y), 4 + (d * (i + 2) + 7) / 8);
			part_release(&part);
		}
		part = part_default(&compressors, "terngrad");
		assert_int_equal(decoded(&part, x, d, 0, y), 4 + (d + 4) / 5);
		part_release(&part);
		part = part_default(&compressors, "int8");
		assert_int_equal(decoded(&part, x, d, 0, y), d + 8 * ((d + 255) / 256));
		part_release(&part);
	}
	part = qsgd("3", "2", "100");
	assert_int_equal(decoded(&part, x, 250, 0, y), 3 * 4 + 2 * 38 + 19);
	part_release(&part);
	free(x);
	free(y);
}

/* A block of small values is not spoilt by a large one elsewhere. */
static void blocks_have_norms_of_their_own(void **state)
{
	struct part part = qsgd("8", "inf", "100");
	float x[250], y[250];

	(void)state;
	for (size_t i = 0; i < 250; i++)
		x[i] = i < 100 ? 1e6f : 1e-3f * (float)(i % 7);
	decoded(&part, x, 250, 0, y);
	for (size_t i = 100; i < 250; i++)
		assert_true(fabsf(y[i] - x[i]) <= 6e-3f / 127 * 1.001f);
	part_release(&part);
}

static void int8_is_within_half_a_step_and_exact_at_the_ends(void **state)
{
	struct part part = part_default(&compressors, "int8");
	float *x = gradient(COUNT), *y = xcalloc(COUNT, sizeof(*y));

	(void)state;
	decoded(&part, x, COUNT, 0, y);
	for (size_t at = 0; at < COUNT; at += 256) {
		size_t end = at + 256 < COUNT ? at + 256 : COUNT;
		float low = x[at], high = x[at];

		for (size_t i = at; i < end; i++) {
			low = fminf(low, x[i]);
			high = fmaxf(high, x[i]);
		}
		for (size_t i = at; i < end; i++) {
			double half = (double)(high - low) / 510;

			assert_true(fabs((double)y[i] - (double)x[i]) <= half * (1 + 1e-4));
			if (x[i] == low)
				assert_true(y[i] == low);
		}
	}
	part_release(&part);
	free(x);
	free(y);
}

static int decode(const struct part *part, const unsigned char *bytes, size_t length, float *y,
		  size_t count)
{
	struct error err = { "" };

	return ((const struct compressor *)part->entry)
		->decode_add(part->params, bytes, length, 1, y, count, &err);
}

static void scales_that_no_encoder_writes_are_refused(void **state)
{
	static const float bad[] = { -1, INFINITY, -INFINITY, NAN };
	static const char *const names[] = { "qsgd", "terngrad" };
	float y[9] = { 0 };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		unsigned char bytes[64] = { 0 };
		struct part part;

		memcpy(bytes, &bad[k], sizeof(bad[k]));
		for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
			part = part_default(&compressors, names[n]);
			assert_int_equal(decode(&part, bytes, n ? 6 : 9, y, 9), -1);
			part_release(&part);
		}
		part = part_default(&compressors, "int8");
		assert_int_equal(decode(&part, bytes, 17, y, 9), k == 0 ? 0 : -1);
		memset(bytes, 0, 4);
		memcpy(bytes + 4, &bad[k], sizeof(bad[k]));
		assert_int_equal(decode(&part, bytes, 17, y, 9), -1);
		part_release(&part);
	}
}

static void bits_that_no_encoder_sets_are_refused(void **state)
{
	struct part levels = qsgd("3", "inf", "0"), trits = part_default(&compressors, "terngrad");
	unsigned char bytes[8] = { 0 };
	float y[9] = { 0 };

	(void)state;
	assert_int_equal(decode(&levels, bytes, 8, y, 9), 0);
	bytes[7] = 0x10; /* 27 bits are used */
	assert_int_equal(decode(&levels, bytes, 8, y, 9), -1);
	memset(bytes, 0, sizeof(bytes));
	bytes[4] = 242;
	assert_int_equal(decode(&trits, bytes, 6, y, 9), 0);
	bytes[4] = 243;
	assert_int_equal(decode(&trits, bytes, 6, y, 9), -1);
	part_release(&levels);
	part_release(&trits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_are_right_on_average_with_the_exact_variance),
		cmocka_unit_test(every_value_is_one_of_the_two_next_levels),
		cmocka_unit_test(what_is_scaled_by_a_power_of_two_is_so_decoded),
		cmocka_unit_test(payloads_are_as_long_as_their_bits),
		cmocka_unit_test(blocks_have_norms_of_their_own),
		cmocka_unit_test(int8_is_within_half_a_step_and_exact_at_the_ends),
		cmocka_unit_test(scales_that_no_encoder_writes_are_refused),
		cmocka_unit_test(bits_that_no_encoder_sets_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
