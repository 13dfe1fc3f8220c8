/* What every compression scheme of the registry must do, and what fp16 must give. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/compress/compress.h"
#include "runtime/device/kernels.h"

static const size_t counts[] = { 0, 1, 2, 7, 64, 641, 1001 };

/* An encoded vector; encode gets exactly bound() bytes, so that a sanitizer sees one too many. */
struct encoded {
	unsigned char *bytes;
	size_t length;
};

static struct encoded encode(const struct part *part, const float *x, size_t count, uint64_t step)
{
	const struct compressor *compressor = (const struct compressor *)part->entry;
	size_t bound = compressor->bound(part->params, count);
	struct compress_input input = { .x = x,
					.count = count,
					.rng = rng_make(7, RNG_COMPRESS, 3, step) };
	struct encoded encoded = { .bytes = xmalloc(bound) };

	encoded.length = compressor->encode(part->params, &input, encoded.bytes);
	assert_true(encoded.length <= bound);
	return encoded;
}

static int decode_add(const struct part *part, const unsigned char *bytes, size_t length,
		      float scale, float *y, size_t count, struct error *err)
{
	const struct compressor *compressor = (const struct compressor *)part->entry;

	return compressor->decode_add(part->params, bytes, length, scale, y, count, err);
}

static void decode_all(const struct part *part, const struct encoded *encoded, float scale,
		       float *y, size_t count)
{
	struct error err = { "" };

	if (decode_add(part, encoded->bytes, encoded->length, scale, y, count, &err) < 0)
		fail_msg("%s: %s", part->entry->name, err.text);
}

static float *normal(size_t count, uint64_t step)
{
	struct rng rng = rng_make(11, RNG_DATA, 0, step);
	float *x = xcalloc(count, sizeof(*x));

	for (size_t i = 0; i < count; i++)
		x[i] = (float)rng_normal(&rng, i);
	return x;
}

static double norm(const float *x, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)x[i] * x[i];
	return sqrt(sum);
}

/* Not of factors, which are no message. */
static bool is_encoded(const struct entry *entry)
{
	struct part part = { .entry = entry };

	return PART_AS(&part, struct compressor)->payload != PAYLOAD_FACTORS;
}

typedef void scheme_check(const struct part *part, size_t count);

static void for_every(scheme_check *check)
{
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part part = part_default(&compressors, compressors.entries[i]->name);

		for (size_t k = 0; is_encoded(part.entry) && k < ARRAY_SIZE(counts); k++)
			check(&part, counts[k]);
		part_release(&part);
	}
}

static void check_same_bytes(const struct part *part, size_t count)
{
	float *x = normal(count, 1);
	struct encoded first = encode(part, x, count, 4), second = encode(part, x, count, 4);

	assert_int_equal(first.length, second.length);
	assert_memory_equal(first.bytes, second.bytes, first.length);
	free(first.bytes);
	free(second.bytes);
	free(x);
}

static void the_same_vector_and_numbers_give_the_same_bytes(void **state)
{
	(void)state;
	for_every(check_same_bytes);
}

static void check_decode_adds(const struct part *part, size_t count)
{
	float *x = normal(count, 1), *once = xcalloc(count, sizeof(*once));
	float *more = xcalloc(count, sizeof(*more));
	struct encoded encoded = encode(part, x, count, 1);

	decode_all(part, &encoded, 1, once, count);
	for (size_t i = 0; i < count; i++)
		more[i] = 3;
	decode_all(part, &encoded, -2, more, count);
	for (size_t i = 0; i < count; i++)
		assert_true(more[i] == 3 - 2 * once[i]);
	free(encoded.bytes);
	free(x);
	free(once);
	free(more);
}

static void decoding_adds_a_multiple(void **state)
{
	(void)state;
	for_every(check_decode_adds);
}

/* Pairs say what decoding does, bit for bit; of damage neither makes anything. */
static void check_pairs(const struct part *part, size_t count)
{
	const struct compressor *compressor = PART_AS(part, struct compressor);
	size_t most, first = 70;
	float *x = normal(count, 1), *y = xcalloc(count, sizeof(*y));
	float *z = xcalloc(count, sizeof(*z));
	struct encoded encoded = encode(part, x, count, 1);
	struct compress_pairs pairs = { .count = 0 };
	struct error err = { "" };

	assert_true(!compressor->pairs == !compressor->chosen);
	if (compressor->pairs && count > 0) {
		most = compressor->chosen(part->params, count);
		pairs.indices = xcalloc(most, sizeof(*pairs.indices));
		pairs.values = xcalloc(most, sizeof(*pairs.values));
		assert_int_equal(compressor->pairs(part->params, encoded.bytes, encoded.length,
						   first, count, &pairs, &err),
				 0);
		assert_true(pairs.count <= most && most <= count);
		for (size_t k = 0; k < pairs.count; k++) {
			assert_true(k == 0 || pairs.indices[k] > pairs.indices[k - 1]);
			assert_in_range(pairs.indices[k], first, first + count - 1);
			z[pairs.indices[k] - first] += pairs.values[k];
		}
		decode_all(part, &encoded, 1, y, count);
		assert_memory_equal(y, z, count * sizeof(*y));
		for (size_t length = 0; length < encoded.length; length++)
			assert_int_equal(
				compressor->pairs(part->params, encoded.bytes, length, first, count,
						  &pairs, &err) < 0,
				decode_add(part, encoded.bytes, length, 1, y, count, &err) < 0);
	}
	free(encoded.bytes);
	free(pairs.indices);
	free(pairs.values);
	free(x);
	free(y);
	free(z);
}

static void pairs_are_what_decoding_gives(void **state)
{
	(void)state;
	for_every(check_pairs);
}

/* With error feedback, what was sent and what is left are all that ever came in. */
static void feed_back(const struct part *part, size_t count)
{
	enum { STEPS = 200 };
	float *residual = xcalloc(count, sizeof(*residual));
	float *decoded = xcalloc(count, sizeof(*decoded));
	double *sent = xcalloc(count, sizeof(*sent)), *given = xcalloc(count, sizeof(*given));

	for (uint64_t step = 0; step < STEPS; step++) {
		float *x = normal(count, step);
		struct encoded encoded;

		for (size_t i = 0; i < count; i++) {
			given[i] += x[i];
			residual[i] += x[i];
			decoded[i] = 0;
		}
		encoded = encode(part, residual, count, step);
		decode_all(part, &encoded, 1, decoded, count);
		for (size_t i = 0; i < count; i++) {
			sent[i] += decoded[i];
			residual[i] -= decoded[i];
		}
		free(encoded.bytes);
		free(x);
	}
	for (size_t i = 0; i < count; i++)
		assert_true(fabs(sent[i] + residual[i] - given[i]) < 1e-3);
	assert_true(norm(residual, count) <= 0.5 * STEPS * sqrt((double)count));
	free(residual);
	free(decoded);
	free(sent);
	free(given);
}

/* Feedback is for what leaves less behind than came in; elsewhere residuals would grow. */
static void check_feedback(const struct part *part, size_t count)
{
	const struct compressor *compressor = (const struct compressor *)part->entry;
	float *x = normal(count, 1);
	struct compress_input input = { .x = x, .count = count };
	bool little = compressor->error(part->params, &input) <= norm(x, count);

	assert_true(little || compressor->feedback == FEEDBACK_NONE ||
		    compressor->feedback == FEEDBACK_MOMENTUM);
	if (little)
		feed_back(part, count);
	free(x);
}

static void error_feedback_loses_nothing(void **state)
{
	(void)state;
	for_every(check_feedback);
}

static void check_malformed(const struct part *part, size_t count)
{
	float *x = normal(count, 1), *y = xcalloc(count, sizeof(*y));
	struct encoded encoded = encode(part, x, count, 1);
	unsigned char *longer = xcalloc(1, encoded.length + 1);
	struct error err = { "" };

	if (encoded.length > 0) {
		/* A copy of its own, so that a sanitizer sees a read beyond the end. */
		unsigned char *shorter = xmalloc(encoded.length - 1);

		memcpy(shorter, encoded.bytes, encoded.length - 1);
		assert_int_equal(decode_add(part, shorter, encoded.length - 1, 1, y, count, &err),
				 -1);
		assert_int_equal(decode_add(part, shorter, 0, 1, y, count, &err), -1);
		free(shorter);
	}
	memcpy(longer, encoded.bytes, encoded.length);
	assert_int_equal(decode_add(part, longer, encoded.length + 1, 1, y, count, &err), -1);
	assert_true(err.text[0] != '\0');
	free(longer);
	free(encoded.bytes);
	free(x);
	free(y);
}

static void payloads_of_another_length_are_refused(void **state)
{
	(void)state;
	for_every(check_malformed);
}

/* Bytes of a peer may be anything: an error or some numbers, but nothing outside the vector. */
static void check_garbage(const struct part *part, size_t count)
{
	for (uint64_t step = 0; step < 50; step++) {
		float *x = normal(count, step), *y = xcalloc(count, sizeof(*y));
		struct encoded encoded = encode(part, x, count, step);
		struct rng rng = rng_make(13, RNG_DATA, 0, step);
		struct error err = { "" };

		for (size_t i = 0; i < encoded.length; i++)
			if (rng_below(&rng, 2 * i, 4) == 0)
				encoded.bytes[i] = (unsigned char)rng_u64(&rng, 2 * i + 1);
		decode_add(part, encoded.bytes, encoded.length, 1, y, count, &err);
		free(encoded.bytes);
		free(x);
		free(y);
	}
}

static void damaged_payloads_do_no_harm(void **state)
{
	(void)state;
	for_every(check_garbage);
}

/* Vectors that are hard on something. */
enum shape { NORMAL, ZERO, CONSTANT, DENORMAL, HUGE, HEAVY, SHAPES };

static float *shaped(enum shape shape, size_t count)
{
	float *x = normal(count, 2);

	for (size_t i = 0; i < count; i++) {
		const float of[SHAPES] = {
			[NORMAL] = x[i],
			[CONSTANT] = -0.37f,
			[DENORMAL] = x[i] * 0x1p-140f,
			[HUGE] = fmaxf(-1e38f, fminf(x[i] * 5e37f, 1e38f)),
			[HEAVY] = x[i] * expf(3 * x[i]),
		};

		x[i] = of[shape];
	}
	return x;
}

/* What decoding gives is within the declared distance of what was encoded. */
static void check_near(const struct part *part, const float *x, size_t count)
{
	const struct compressor *compressor = (const struct compressor *)part->entry;
	float *y = xcalloc(count, sizeof(*y));
	double sum = 0;
	struct compress_input input = { .x = x,
					.count = count,
					.rng = rng_make(7, RNG_COMPRESS, 3, 5) };
	struct encoded encoded = encode(part, x, count, 5);
	double most = compressor->error(part->params, &input);

	decode_all(part, &encoded, 1, y, count);
	for (size_t i = 0; i < count; i++) {
		double off = (double)y[i] - (double)x[i];

		assert_true(isfinite(y[i]) || isinf(most));
		sum += off * off;
	}
	if (!(sqrt(sum) <= most * (1 + 1e-6)))
		fail_msg("%s: %g off, %g declared, of %zu", part->entry->name, sqrt(sum), most,
			 count);
	free(encoded.bytes);
	free(y);
}

static void check_error(const struct part *part, size_t count)
{
	for (enum shape shape = NORMAL; shape < SHAPES; shape++) {
		float *x = shaped(shape, count);

		check_near(part, x, count);
		free(x);
	}
}

static void decoded_is_as_near_as_declared(void **state)
{
	(void)state;
	for_every(check_error);
}

/* The same bytes and sums whatever the processor can do. */
static void check_sets(const struct part *part, size_t count)
{
	for (enum shape shape = NORMAL; shape < SHAPES; shape++) {
		float *x = shaped(shape, count), *first = NULL;
		struct encoded expected = { 0 };

		for (const struct kernels *const *set = kernels_all(); *set; set++) {
			float *y = xcalloc(count, sizeof(*y));
			struct encoded encoded;

			kernels_choose(*set);
			encoded = encode(part, x, count, 3);
			decode_all(part, &encoded, 0.3f, y, count);
			if (first) {
				assert_int_equal(encoded.length, expected.length);
				assert_memory_equal(encoded.bytes, expected.bytes, encoded.length);
				assert_memory_equal(y, first, count * sizeof(*y));
				free(encoded.bytes);
				free(y);
			} else {
				first = y;
				expected = encoded;
			}
		}
		kernels_choose(NULL);
		free(expected.bytes);
		free(first);
		free(x);
	}
}

static void every_instruction_set_gives_the_same(void **state)
{
	(void)state;
	for_every(check_sets);
}

/* But where noise is the purpose. */
static void check_zero(const struct part *part, size_t count)
{
	const struct compressor *compressor = (const struct compressor *)part->entry;
	float *zero = xcalloc(count, sizeof(*zero)), *y = xcalloc(count, sizeof(*y));
	struct compress_input input = { .x = zero, .count = count };
	double most = compressor->error(part->params, &input);
	struct encoded encoded = encode(part, zero, count, 0);

	decode_all(part, &encoded, 1, y, count);
	for (size_t k = 0; k < count; k++)
		assert_true(y[k] == 0 || most >= 1);
	free(encoded.bytes);
	free(zero);
	free(y);
}

static void a_zero_vector_stays_zero(void **state)
{
	(void)state;
	for_every(check_zero);
}

static void check_sums(const struct part *part, size_t count)
{
	float *x = normal(count, 0);
	struct encoded encoded = encode(part, x, count, 0);

	if (((const struct compressor *)part->entry)->payload == PAYLOAD_SUMS) {
		assert_int_equal(encoded.length, count * sizeof(float));
		assert_memory_equal(encoded.bytes, x, encoded.length);
	}
	free(encoded.bytes);
	free(x);
}

static void schemes_that_add_up_are_float32(void **state)
{
	(void)state;
	for_every(check_sums);
}

/* What has no message has factors, which take fewer numbers than the matrix, whatever its sides. */
static void factors_are_smaller_than_what_they_stand_for(void **state)
{
	static const size_t sides[] = { 1, 2, 3, 8, 9, 100, 4096 };
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; compressors.entries[i]; i++) {
		struct part part = part_default(&compressors, compressors.entries[i]->name);
		const struct compressor *compressor = (const struct compressor *)part.entry;

		assert_true(is_encoded(part.entry) == !compressor->rank);
		for (size_t k = 0; compressor->rank && k < ARRAY_SIZE(sides) * ARRAY_SIZE(sides);
		     k++) {
			size_t rows = sides[k / ARRAY_SIZE(sides)];
			size_t columns = sides[k % ARRAY_SIZE(sides)];
			size_t rank = compressor->rank(part.params, rows, columns);

			assert_true(rank * (rows + columns) < rows * columns || rank == 0);
			seen += rank > 0;
		}
		part_release(&part);
	}
	assert_true(seen > 0);
}

static float through_fp16(float value)
{
	struct part part = part_default(&compressors, "fp16");
	struct encoded encoded = encode(&part, &value, 1, 0);
	float y = -0.0f; /* adding to it keeps the sign of a zero */

	assert_int_equal(encoded.length, 2);
	decode_all(&part, &encoded, 1, &y, 1);
	free(encoded.bytes);
	part_release(&part);
	return y;
}

static void fp16_rounds_to_the_nearest_even(void **state)
{
	static const float pairs[][2] = {
		{ 0, 0 },
		{ 1, 1 },
		{ -2.5f, -2.5f },
		{ 65504, 65504 },
		{ 1 + 0x1p-11f, 1 },		    /* half way, even below */
		{ 1 + 3 * 0x1p-11f, 1 + 0x1p-9f },  /* half way, even above */
		{ 1 + 0x1.002p-11f, 1 + 0x1p-10f }, /* just above half way */
		{ 2047.5f, 2048 },		    /* carries into the exponent */
		{ 65519.996f, 65504 },		    /* the last that does not overflow */
		{ 65520, INFINITY },		    /* half way to 65536 */
		{ -65520, -INFINITY },
		{ 1e30f, INFINITY },
		{ INFINITY, INFINITY },
		{ -INFINITY, -INFINITY },
		{ 0x1p-14f, 0x1p-14f },		/* the smallest normal half */
		{ 0x1.ff8p-15f, 0x1.ff8p-15f }, /* the largest subnormal one */
		{ 0x1.ffep-15f, 0x1p-14f },	/* rounds up to a normal one */
		{ 0x1p-24f, 0x1p-24f },		/* the smallest of all */
		{ -0x1p-24f, -0x1p-24f },
		{ 0x1p-25f, 0 }, /* half way to it, even is zero */
		{ 0x1.000002p-25f, 0x1p-24f },
		{ 3 * 0x1p-25f, 0x1p-23f },
		{ 0x1p-149f, 0 }, /* a subnormal float */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_true(through_fp16(pairs[i][0]) == pairs[i][1]);
	assert_true(isnan(through_fp16(NAN)));
	assert_true(signbit(through_fp16(-0.0f)));
}

static float half_by_definition(unsigned half)
{
	int exponent = (int)(half >> 10 & 31), mantissa = (int)(half & 1023);
	float size = exponent ? ldexpf((float)(1024 + mantissa), exponent - 25)
			      : ldexpf((float)mantissa, -24);

	return half & 0x8000 ? -size : size;
}

static void fp16_gives_back_every_half_exactly(void **state)
{
	(void)state;
	for (unsigned half = 0; half < 0x10000; half++) {
		float value = half_by_definition(half);

		if ((half & 0x7c00) != 0x7c00)
			assert_true(through_fp16(value) == value);
	}
}

static void fp16_is_within_half_a_unit(void **state)
{
	struct rng rng = rng_make(17, RNG_DATA, 0, 0);

	(void)state;
	for (uint64_t i = 0; i < 20000; i++) {
		double size = ldexp(1 + rng_uniform(&rng, 2 * i),
				    (int)rng_below(&rng, 2 * i + 1, 30) - 15);
		float x = (float)(i % 2 ? size : -size);
		double unit = fabs(x) < 0x1p-14 ? 0x1p-24 : ldexp(1, ilogb(x) - 10);

		if (fabs(x) < 65504)
			assert_true(fabs((double)through_fp16(x) - x) <= unit / 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_vector_and_numbers_give_the_same_bytes),
		cmocka_unit_test(decoding_adds_a_multiple),
		cmocka_unit_test(pairs_are_what_decoding_gives),
		cmocka_unit_test(error_feedback_loses_nothing),
		cmocka_unit_test(payloads_of_another_length_are_refused),
		cmocka_unit_test(damaged_payloads_do_no_harm),
		cmocka_unit_test(decoded_is_as_near_as_declared),
		cmocka_unit_test(every_instruction_set_gives_the_same),
		cmocka_unit_test(a_zero_vector_stays_zero),
		cmocka_unit_test(schemes_that_add_up_are_float32),
		cmocka_unit_test(factors_are_smaller_than_what_they_stand_for),
		cmocka_unit_test(fp16_rounds_to_the_nearest_even),
		cmocka_unit_test(fp16_gives_back_every_half_exactly),
		cmocka_unit_test(fp16_is_within_half_a_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
