/* Schemes of one bit: sign and onebit keep signs, sto_sign and dp_sign draw them. */
#include "tests/unit/unit.h"

#include <string.h>

#include "runtime/device/codec.h"
#include "runtime/device/cpu.h"
#include "runtime/device/kernels.h"
#include "tests/unit/draws.h"
#include "tests/unit/part.h"

enum { COUNT = 1301, DRAWS = 2000 };

static struct part scheme(const char *name, const char *const *options)
{
	return part_with(registry_find(&compressors, name), options);
}

static const char *const no_vote[] = { "vote", "no", NULL };

static float *gradient(size_t count)
{
	struct rng rng = rng_make(3, RNG_DATA, 0, 0);
	float *x = xcalloc(count, sizeof(*x));

	for (size_t i = 0; i < count; i++)
		x[i] = (float)rng_normal(&rng, i);
	return x;
}

static void sign_is_the_mean_size_with_every_sign(void **state)
{
	struct part part = part_default(&compressors, "sign");
	float *x = gradient(COUNT), *y = xcalloc(COUNT, sizeof(*y));
	double sum = 0;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		sum += fabs((double)x[i]);
	assert_int_equal(decoded(&part, x, COUNT, 0, y), 4 + (COUNT + 7) / 8);
	for (size_t i = 0; i < COUNT; i++) {
		assert_true((y[i] < 0) == (x[i] < 0));
		assert_true(fabs(fabs((double)y[i]) * COUNT / sum - 1) < 1e-6);
	}
	part_release(&part);
	free(x);
	free(y);
}

static void onebit_is_the_mean_of_each_sign(void **state)
{
	struct part part = part_default(&compressors, "onebit");
	float x[] = { 1, -4, 2, 6, -8, 0, -3 }, y[7];
	float *long_one = gradient(COUNT), *z = xcalloc(COUNT, sizeof(*z));

	(void)state;
	assert_int_equal(decoded(&part, x, 7, 0, y), 8 + 1);
	for (size_t i = 0; i < 7; i++)
		assert_true(y[i] == (x[i] < 0 ? -5.0f : 2.25f));
	assert_int_equal(decoded(&part, long_one, COUNT, 0, z), 8 + (COUNT + 7) / 8);
	part_release(&part);
	free(long_one);
	free(z);
}

static void sto_sign_is_right_on_average_with_the_exact_variance(void **state)
{
	enum { FEW = 300 };
	static const char *const fixed[] = { "vote", "no", "b", "8", NULL };
	float *x = gradient(FEW);
	double variance[FEW], largest = 0;

	(void)state;
	for (size_t i = 0; i < FEW; i++)
		largest = fmax(largest, fabs((double)x[i]));
	for (int given = 0; given < 2; given++) {
		struct part part = scheme("sto_sign", given ? fixed : no_vote);
		double b = given ? 8 : largest;

		for (size_t i = 0; i < FEW; i++)
			variance[i] = b * b - (double)x[i] * (double)x[i];
		check_draws(&part, x, variance, FEW, DRAWS);
		part_release(&part);
	}
	free(x);
}

static void sto_sign_sends_bits_alone_when_b_is_given(void **state)
{
	static const char *const fixed[] = { "vote", "no", "b", "0.5", NULL };
	struct part part = scheme("sto_sign", fixed), free_b = scheme("sto_sign", no_vote);
	float *x = gradient(COUNT), *y = xcalloc(COUNT, sizeof(*y));

	(void)state;
	assert_int_equal(decoded(&part, x, COUNT, 0, y), (COUNT + 7) / 8);
	for (size_t i = 0; i < COUNT; i++) {
		assert_true(fabsf(y[i]) == 0.5f);
		if (fabsf(x[i]) >= 0.5f) /* cut to b: certain */
			assert_true((y[i] < 0) == (x[i] < 0));
	}
	assert_int_equal(decoded(&free_b, x, COUNT, 0, y), 4 + (COUNT + 7) / 8);
	part_release(&part);
	part_release(&free_b);
	free(x);
	free(y);
}

static void sto_sign_is_the_sign_where_b_is_the_size(void **state)
{
	struct part part = scheme("sto_sign", no_vote);
	float x[COUNT], y[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		x[i] = i % 3 ? 0.37f : -0.37f;
	for (uint64_t draw = 0; draw < 50; draw++) {
		decoded(&part, x, COUNT, draw, y);
		assert_memory_equal(x, y, sizeof(x));
	}
	part_release(&part);
}

/*
 * 80 workers at -0.1 and 21 at +1: the mean is above zero, and a vote of plain signs always wrong.
 * With sto_sign the majority is right with the probability of a sum of 101 coins: 0.93 for b = 1,
 * 0.75 for b = 2, 0.60 for b = 5.
 */
static void a_majority_of_sto_signs_is_right_as_often_as_it_should(void **state)
{
	enum { WORKERS = 101, AHEAD = 21, VOTES = 10000 };
	static const struct {
		const char *b;
		double right;
	} all[] = { { "1", 0.93 }, { "2", 0.75 }, { "5", 0.60 } };
	float *x = xcalloc(VOTES, sizeof(*x)), *y = xcalloc(VOTES, sizeof(*y));
	float *sum = xcalloc(VOTES, sizeof(*sum));

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		struct part part = scheme("sto_sign", (const char *const[]){ "b", all[k].b, NULL });
		size_t right = 0;

		memset(sum, 0, VOTES * sizeof(*sum));
		for (size_t worker = 0; worker < WORKERS; worker++) {
			for (size_t i = 0; i < VOTES; i++)
				x[i] = worker < AHEAD ? 1 : -0.1f;
			decoded(&part, x, VOTES, worker, y);
			for (size_t i = 0; i < VOTES; i++)
				sum[i] += y[i];
		}
		for (size_t i = 0; i < VOTES; i++)
			right += sum[i] > 0;
		assert_true(fabs((double)right / VOTES - all[k].right) < 0.02);
		part_release(&part);
	}
	free(x);
	free(y);
	free(sum);
}

static double normal_below(double x)
{
	return erfc(-x / sqrt(2)) / 2;
}

/* Of a vector within the clip: plus with probability Phi(x / noise). */
static void dp_sign_has_the_probability_of_normal_noise(void **state)
{
	enum { SAME = 40000 };
	static const char *const options[] = { "vote", "no",	"clip", "100", "epsilon",
					       "1",    "delta", "0.5",	NULL };
	static const float xs[] = { -0.4f, -0.1f, 0, 0.05f, 0.3f, 0.5f };
	struct part part = scheme("dp_sign", options);
	double noise = 200 * sqrt(2 * log(2.5));
	float *x = xcalloc(SAME, sizeof(*x)), *y = xcalloc(SAME, sizeof(*y));

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(xs); k++) {
		double p = normal_below((double)xs[k] / noise);
		size_t plus = 0;

		for (size_t i = 0; i < SAME; i++)
			x[i] = xs[k];
		assert_int_equal(decoded(&part, x, SAME, k, y), SAME / 8);
		for (size_t i = 0; i < SAME; i++)
			plus += y[i] > 0;
		assert_true(fabs((double)plus - p * SAME) <= 5 * sqrt(SAME * p * (1 - p)));
		assert_true(fabs((double)fabsf(y[0]) / noise - sqrt(acos(-1) / 2)) < 1e-5);
	}
	part_release(&part);
	free(x);
	free(y);
}

/* The kernel alone, far from zero as well. */
static void normal_votes_follow_the_normal_distribution(void **state)
{
	enum { SAME = 64000 };
	static const double zs[] = { -9, -3, -1, -0.2, 0, 0.7, 2, 4, 9 };
	struct rng rng = rng_make(7, RNG_COMPRESS, 0, 0);
	struct code_rule rule = { .scale = 0.5f };
	uint32_t *words = xcalloc(SAME, sizeof(*words));
	uint16_t *codes = xcalloc(SAME, sizeof(*codes));
	float *x = xcalloc(SAME, sizeof(*x));

	(void)state;
	kernels()->random_words(&rng, 0, words, SAME / RNG_CHUNK);
	for (size_t k = 0; k < ARRAY_SIZE(zs); k++) {
		double p = normal_below(zs[k]);
		size_t minus = 0;

		for (size_t i = 0; i < SAME; i++)
			x[i] = (float)(2 * zs[k]);
		kernels()->code_normal_votes(&rule, x, words, codes, SAME);
		for (size_t i = 0; i < SAME; i++)
			minus += codes[i];
		assert_true(fabs((double)minus - (1 - p) * SAME) <=
			    5 * sqrt(SAME * p * (1 - p)) + 1e-3);
	}
	free(words);
	free(codes);
	free(x);
}

/* A vector that is too long counts as one of the clip's length. */
static void dp_sign_is_the_same_for_what_is_clipped(void **state)
{
	struct part part = scheme("dp_sign", (const char *const[]){ "clip", "4", NULL });
	float x[64], y[64], longer[64], z[64];

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		x[i] = i % 2 ? 0.5f : -0.5f; /* of norm 4 */
		longer[i] = 1024 * x[i];
	}
	for (uint64_t draw = 0; draw < 50; draw++) {
		decoded(&part, x, 64, draw, y);
		decoded(&part, longer, 64, draw, z);
		assert_memory_equal(y, z, sizeof(y));
	}
	part_release(&part);
}

static void scales_that_no_encoder_writes_are_refused(void **state)
{
	static const float bad[] = { -1, INFINITY, NAN };
	static const char *const names[] = { "sign", "onebit", "sto_sign" };
	float y[9] = { 0 };
	struct error err;

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct part part = scheme(names[n], n == 1 ? NULL : no_vote);
		const struct compressor *compressor = (const struct compressor *)part.entry;
		size_t length = compressor->bound(part.params, 9);
		unsigned char bytes[10] = { 0 };

		assert_int_equal(compressor->decode_add(part.params, bytes, length, 1, y, 9, &err),
				 0);
		bytes[length - 1] = 2; /* behind the ninth bit */
		assert_int_equal(compressor->decode_add(part.params, bytes, length, 1, y, 9, &err),
				 -1);
		bytes[length - 1] = 0;
		for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
			memcpy(bytes + (n == 1 ? 4 : 0), &bad[k], sizeof(bad[k]));
			assert_int_equal(
				compressor->decode_add(part.params, bytes, length, 1, y, 9, &err),
				-1);
		}
		part_release(&part);
	}
}

/* The same bits, which mean one instead of a size. */
static void votes_are_the_signs_of_what_they_would_be_with_sizes(void **state)
{
	static const char *const names[] = { "sign", "signum", "sto_sign", "dp_sign" };
	static const char *const vote[] = { "vote", "yes", NULL };
	float *x = gradient(COUNT), y[COUNT], z[COUNT];

	(void)state;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct part votes = scheme(names[n], vote), sizes = scheme(names[n], no_vote);

		for (uint64_t draw = 0; draw < 20; draw++) {
			assert_int_equal(decoded(&votes, x, COUNT, draw, y), (COUNT + 7) / 8);
			decoded(&sizes, x, COUNT, draw, z);
			for (size_t i = 0; i < COUNT; i++)
				assert_true(y[i] == (z[i] < 0 ? -1 : 1));
		}
		part_release(&votes);
		part_release(&sizes);
	}
	free(x);
}

/* Of a slice, with what is known of all ranks and of the whole. */
static void what_is_agreed_on_decides_how_certain_a_vote_is(void **state)
{
	struct part part = part_default(&compressors, "sto_sign");
	const struct compressor *sto_sign = PART_AS(&part, struct compressor);
	struct compress_input input = { .count = COUNT, .largest = 100 };
	float *x = gradient(COUNT), y[COUNT] = { 0 };
	unsigned char bytes[COUNT];
	struct error err;
	size_t against = 0;

	(void)state;
	assert_int_equal(sto_sign->vote(part.params), VOTE_LARGEST);
	input.x = x;
	input.rng = rng_make(3, RNG_COMPRESS, 0, 0);
	sto_sign->encode(part.params, &input, bytes);
	assert_int_equal(
		sto_sign->decode_add(part.params, bytes, (COUNT + 7) / 8, 1, y, COUNT, &err), 0);
	for (size_t i = 0; i < COUNT; i++)
		against += y[i] * x[i] < 0;
	assert_true(against > COUNT / 3); /* nearly a coin, where the largest of x is about 3 */
	part_release(&part);
	free(x);
}

/* Slices are drawn as the whole is. */
static void a_slice_has_the_bits_of_the_whole(void **state)
{
	enum { AT = 100, REST = COUNT - AT }; /* not where a chunk of random numbers begins */
	static const char *const names[] = { "natural", "qsgd", "terngrad", "sto_sign", "dp_sign" };
	float x[COUNT], y[COUNT], z[COUNT] = { 0 };
	unsigned char bytes[4 * COUNT];
	struct error err;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		x[i] = i % 3 ? 0.001f : i % 2 ? 1 : -1;
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct part part = part_default(&compressors, names[n]);
		const struct compressor *scheme_of = PART_AS(&part, struct compressor);
		struct compress_input input = { .x = x + AT,
						.count = REST,
						.first = AT,
						.rng = rng_make(7, RNG_COMPRESS, 1, 9),
						.norm = sqrt(cpu_sum_squares(x, COUNT)) };
		size_t length = scheme_of->encode(part.params, &input, bytes);

		memset(z, 0, sizeof(z));
		decoded(&part, x, COUNT, 9, y);
		assert_int_equal(
			scheme_of->decode_add(part.params, bytes, length, 1, z + AT, REST, &err),
			0);
		assert_memory_equal(y + AT, z + AT, REST * sizeof(*y));
		part_release(&part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sign_is_the_mean_size_with_every_sign),
		cmocka_unit_test(onebit_is_the_mean_of_each_sign),
		cmocka_unit_test(sto_sign_is_right_on_average_with_the_exact_variance),
		cmocka_unit_test(sto_sign_sends_bits_alone_when_b_is_given),
		cmocka_unit_test(sto_sign_is_the_sign_where_b_is_the_size),
		cmocka_unit_test(a_majority_of_sto_signs_is_right_as_often_as_it_should),
		cmocka_unit_test(dp_sign_has_the_probability_of_normal_noise),
		cmocka_unit_test(normal_votes_follow_the_normal_distribution),
		cmocka_unit_test(dp_sign_is_the_same_for_what_is_clipped),
		cmocka_unit_test(votes_are_the_signs_of_what_they_would_be_with_sizes),
		cmocka_unit_test(what_is_agreed_on_decides_how_certain_a_vote_is),
		cmocka_unit_test(a_slice_has_the_bits_of_the_whole),
		cmocka_unit_test(scales_that_no_encoder_writes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
