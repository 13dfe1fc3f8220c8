/* Philox against its published vectors, and the distributions that are made of it. */
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/kernels.h"
#include "runtime/rng.h"

/* Random123's tests/kat_vectors, "philox4x32 10": counter, key, the first two words of the answer.
 */
static void the_published_vectors_come_out(void **state)
{
	static const struct {
		uint32_t counter[4], key[2], answer[2];
	} vectors[] = {
		{ { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d } },
		{ { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
		  { 0xffffffff, 0xffffffff },
		  { 0x408f276d, 0x41c83b0e } },
		{ { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
		  { 0xa4093822, 0x299f31d0 },
		  { 0xd16cfe09, 0x94fdcceb } },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const uint32_t *c = vectors[i].counter, *k = vectors[i].key, *a = vectors[i].answer;
		struct rng rng = { .seed = k[0] | (uint64_t)k[1] << 32,
				   .stream = c[2] | (uint64_t)c[3] << 32 };

		assert_int_equal(rng_u64(&rng, c[0] | (uint64_t)c[1] << 32),
				 a[0] | (uint64_t)a[1] << 32);
	}
}

static void streams_differ_in_each_of_seed_purpose_which_and_step(void **state)
{
	struct rng all[] = {
		rng_make(1, RNG_INIT, 0, 0), rng_make(2, RNG_INIT, 0, 0),
		rng_make(1, RNG_DATA, 0, 0), rng_make(1, RNG_INIT, 1, 0),
		rng_make(1, RNG_INIT, 0, 1), rng_make(1, RNG_INIT, (uint64_t)1 << 40, 0),
	};

	(void)state;
	for (size_t i = 0; i < 6; i++)
		for (size_t j = 0; j < i; j++)
			for (uint64_t n = 0; n < 64; n++)
				assert_int_not_equal(rng_u64(&all[i], n), rng_u64(&all[j], n));
}

static void uniform_numbers_fill_the_unit_interval_evenly(void **state)
{
	struct rng rng = rng_make(7, RNG_DATA, 0, 0);
	size_t bins[10] = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 100000; i++) {
		double u = rng_uniform(&rng, i);

		assert_true(u >= 0 && u < 1);
		bins[(size_t)(u * 10)]++;
	}
	for (size_t i = 0; i < 10; i++) /* 10000 expected, deviation 95: five of them */
		assert_in_range(bins[i], 9525, 10475);
}

static void normal_numbers_have_mean_0_variance_1_and_tails(void **state)
{
	struct rng rng = rng_make(7, RNG_DATA, 1, 0);
	double sum = 0, squares = 0;
	size_t count = 100000, far = 0;

	(void)state;
	for (uint64_t i = 0; i < count; i++) {
		double x = rng_normal(&rng, i);

		assert_true(isfinite(x));
		sum += x;
		squares += x * x;
		far += fabs(x) > 2;
	}
	assert_true(fabs(sum / (double)count) < 0.016);		/* five deviations of 1/sqrt(n) */
	assert_true(fabs(squares / (double)count - 1) < 0.023); /* five of sqrt(2/n) */
	assert_in_range(far, 4220, 4880);			/* 4.55 %, five deviations */
}

static void below_reaches_every_number_and_no_other(void **state)
{
	struct rng rng = rng_make(7, RNG_DATA, 2, 0);
	size_t seen[7] = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 7000; i++) {
		uint64_t n = rng_below(&rng, i, 7);

		assert_true(n < 7);
		seen[n]++;
	}
	for (size_t i = 0; i < 7; i++)
		assert_in_range(seen[i], 850, 1150);
	assert_int_equal(rng_below(&rng, 0, 1), 0);
}

static void a_shuffle_keeps_all_items_and_depends_on_the_stream_alone(void **state)
{
	struct rng rng = rng_make(7, RNG_SHUFFLE, 0, 3);
	uint32_t items[1000], again[1000];
	size_t moved = 0;
	uint64_t seen = 0;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		items[i] = again[i] = i;
	rng_shuffle(&rng, items, 1000);
	rng_shuffle(&rng, again, 1000);
	assert_memory_equal(items, again, sizeof(items));
	for (size_t i = 0; i < 1000; i++) {
		moved += items[i] != i;
		seen += items[i];
	}
	assert_int_equal(seen, 499500);
	assert_true(moved > 950);
	rng_shuffle(&rng, items, 0);
}

/* All 24 orders of 4 items come equally often over 24000 streams. */
static void every_order_is_equally_likely(void **state)
{
	size_t orders[256] = { 0 }, kinds = 0;

	(void)state;
	for (uint64_t n = 0; n < 24000; n++) {
		struct rng rng = rng_make(7, RNG_SHUFFLE, n, 0);
		uint32_t items[4] = { 0, 1, 2, 3 };

		rng_shuffle(&rng, items, 4);
		orders[items[0] << 6 | items[1] << 4 | items[2] << 2 | items[3]]++;
	}
	for (size_t i = 0; i < 256; i++) {
		if (orders[i] == 0)
			continue;
		kinds++;
		assert_in_range(orders[i], 840, 1160);
	}
	assert_int_equal(kinds, 24);
}

/* Every kernel makes rng_u64's numbers, and the other halves of the same draws. */
static void many_words_are_those_of_single_draws(void **state)
{
	enum { CHUNKS = 5, DRAWS = RNG_CHUNK / 4 };
	static const uint64_t firsts[] = { 0, 7,
					   (UINT64_C(1) << 28) - 2 }; /* 2^32 draws on the way */
	struct rng rng = rng_make(7, RNG_COMPRESS, 3, 9);
	uint32_t words[CHUNKS * RNG_CHUNK], plain[CHUNKS * RNG_CHUNK];

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++)
		for (size_t k = 0; k < ARRAY_SIZE(firsts); k++) {
			(*set)->random_words(&rng, firsts[k], words, CHUNKS);
			kernels_all()[0]->random_words(&rng, firsts[k], plain, CHUNKS);
			assert_memory_equal(words, plain, sizeof(words));
			for (size_t i = 0; i < CHUNKS * DRAWS; i++) {
				const uint32_t *at = words + i / DRAWS * RNG_CHUNK + i % DRAWS * 2;
				uint64_t both;

				memcpy(&both, at, sizeof(both));
				assert_int_equal(both, rng_u64(&rng, firsts[k] * DRAWS + i));
			}
		}
}

/* Of the vector that is all zeros: its third and fourth word lie in the second half of a chunk. */
static void second_halves_are_those_published(void **state)
{
	struct rng zero = { 0 };
	uint32_t words[RNG_CHUNK];

	(void)state;
	kernels()->random_words(&zero, 0, words, 1);
	assert_int_equal(words[0], 0x6627e8d5);
	assert_int_equal(words[1], 0xe169c58d);
	assert_int_equal(words[RNG_CHUNK / 2], 0xbc57ac4c);
	assert_int_equal(words[RNG_CHUNK / 2 + 1], 0x9b00dbd8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_vectors_come_out),
		cmocka_unit_test(streams_differ_in_each_of_seed_purpose_which_and_step),
		cmocka_unit_test(uniform_numbers_fill_the_unit_interval_evenly),
		cmocka_unit_test(normal_numbers_have_mean_0_variance_1_and_tails),
		cmocka_unit_test(below_reaches_every_number_and_no_other),
		cmocka_unit_test(a_shuffle_keeps_all_items_and_depends_on_the_stream_alone),
		cmocka_unit_test(every_order_is_equally_likely),
		cmocka_unit_test(many_words_are_those_of_single_draws),
		cmocka_unit_test(second_halves_are_those_published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
