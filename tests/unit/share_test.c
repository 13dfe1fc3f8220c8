/* Parts of a batch in proportion to speed. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/rng.h"
#include "runtime/share.h"
#include "runtime/slice.h"

enum { MOST = 16 };

static double sum_of(const float *x, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += x[i];
	return sum;
}

static void ranks_that_are_as_fast_get_equal_parts(void **state)
{
	float speed[MOST], samples[MOST];

	(void)state;
	for (size_t world = 1; world <= MOST; world++) {
		for (size_t r = 0; r < world; r++)
			speed[r] = 1234.5f;
		share_allot(speed, world, 100, samples);
		for (size_t r = 0; r < world; r++) {
			size_t length;

			slice_start(100, world, r, &length);
			assert_true(samples[r] == (float)length);
		}
	}
}

static void a_rank_that_is_slow_gets_as_much_less(void **state)
{
	const float speed[] = { 400, 400, 100, 400 };
	float samples[4];

	(void)state;
	share_allot(speed, 4, 130, samples);
	assert_true(samples[0] == 40 && samples[1] == 40 && samples[2] == 10 && samples[3] == 40);
}

static void everybody_gets_one_and_nobody_more_than_fits(void **state)
{
	const float one_fast[] = { 1e9f, 1, 1, 1, 1, 1, 1, 1 };
	const float one_slow[] = { 1e9f, 1e9f, 1 };
	float samples[8];

	(void)state;
	share_allot(one_fast, 8, 80, samples);
	assert_true(samples[0] == 40); /* four times an equal part */
	assert_true(sum_of(samples, 8) == 80);
	assert_true(samples[1] == 6 && samples[7] == 5);
	share_allot(one_slow, 3, 3, samples);
	assert_true(samples[0] == 1 && samples[1] == 1 && samples[2] == 1);
	assert_int_equal(share_most(SHARE_MEASURED, 80, 8), 40);
	assert_int_equal(share_most(SHARE_MEASURED, 80, 2), 80);
	assert_int_equal(share_most(SHARE_EQUAL, 82, 8), 11);
}

static void whatever_speeds_are_the_parts_are_the_batch(void **state)
{
	float speed[MOST], samples[MOST];

	(void)state;
	for (size_t round = 0; round < 2000; round++) {
		struct rng rng = rng_make(42, RNG_DATA, round, 0);
		size_t world = 1 + rng_below(&rng, 0, MOST);
		size_t batch = world + rng_below(&rng, 1, 300);
		double most = (double)share_most(SHARE_MEASURED, batch, world);

		for (size_t r = 0; r < world; r++) {
			double wide = rng_uniform(&rng, 2 + r);

			speed[r] = (float)(1e-3 + 1e3 * wide * wide * wide * wide);
		}
		share_allot(speed, world, batch, samples);
		assert_true(sum_of(samples, world) == (double)batch);
		for (size_t r = 0; r < world; r++)
			assert_true(samples[r] >= 1 && samples[r] <= most);
		for (size_t r = 1; r < world; r++) /* who is faster gets no less */
			assert_true(speed[r] <= speed[0] || samples[r] + 1 >= samples[0]);
	}
}

static struct shares three(float a, float b, float c)
{
	struct shares shares = { .world = 3, .batch = 10 };

	shares.samples = xcalloc(3, sizeof(*shares.samples));
	shares.part = xcalloc(3, sizeof(*shares.part));
	shares.samples[0] = a;
	shares.samples[1] = b;
	shares.samples[2] = c;
	return shares;
}

static void shares_of_a_checkpoint_are_of_this_batch_or_an_error(void **state)
{
	struct shares good = three(5, 1, 4), other = three(5, 1, 5), wild = three(-1, 6, 5);
	struct error err;

	(void)state;
	assert_int_equal(shares_settle(&good, &err), 0);
	assert_true(good.part[0] == 0.5 && good.part[1] == 0.1);
	assert_int_equal(shares_first(&good, 0), 0);
	assert_int_equal(shares_first(&good, 2), 6);
	assert_int_equal(shares_settle(&other, &err), -1);
	assert_string_equal(err.text, "train.share: the shares are of a batch of 11, not 10; was "
				      "train.batch changed?");
	assert_int_equal(shares_settle(&wild, &err), -1);
	assert_non_null(strstr(err.text, "rank 0 would take -1 samples of a batch of 10"));
	shares_release(&good);
	shares_release(&other);
	shares_release(&wild);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_that_are_as_fast_get_equal_parts),
		cmocka_unit_test(a_rank_that_is_slow_gets_as_much_less),
		cmocka_unit_test(everybody_gets_one_and_nobody_more_than_fits),
		cmocka_unit_test(whatever_speeds_are_the_parts_are_the_batch),
		cmocka_unit_test(shares_of_a_checkpoint_are_of_this_batch_or_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
