/* What dgc sends while it warms up and later, and how payloads of any number are bounded. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/compress/compress.h"
#include "runtime/compress/sparse.h"
#include "tests/unit/part.h"

enum { COUNT = 4000, WARMUP = 60 };

static float share_at(const struct part *part, size_t step)
{
	const struct compressor *dgc = PART_AS(part, struct compressor);
	struct compress_step about = { .step = step };
	float state = 0;

	assert_int_equal(dgc->state_count, 1);
	dgc->adapt(part->params, &about, &state);
	return state;
}

static void the_share_falls_exponentially_from_a_quarter(void **state)
{
	static const char *const options[] = { "share", "0.001", "warmup", "60", NULL };
	struct part part = part_with(registry_find(&compressors, "dgc"), options);

	(void)state;
	assert_true(share_at(&part, 0) == 0.25f);
	for (size_t step = 1; step < WARMUP; step++) {
		double ratio = (double)share_at(&part, step) / (double)share_at(&part, step - 1);

		assert_true(fabs(ratio - pow(0.001 / 0.25, 1.0 / WARMUP)) < 1e-5);
	}
	assert_true(share_at(&part, WARMUP) == 0.001f);
	assert_true(share_at(&part, 100 * WARMUP) == 0.001f);
	part_release(&part);
}

static void without_a_warmup_the_share_is_given_from_the_beginning(void **state)
{
	struct part part = part_with(registry_find(&compressors, "dgc"), NULL);

	(void)state;
	assert_true(share_at(&part, 0) == 0.001f);
	part_release(&part);
}

/* Never more than the payload's bound, and the copies of exactly as many as the state says. */
static void as_many_are_sent_as_the_state_says(void **state)
{
	static const char *const options[] = { "share", "0.001", "warmup", "60", NULL };
	struct part part = part_with(registry_find(&compressors, "dgc"), options);
	const struct compressor *dgc = PART_AS(&part, struct compressor);
	size_t bound = dgc->bound(part.params, COUNT);
	float *x = filled(COUNT, 1, 0.001);
	unsigned char *bytes = xmalloc(bound);
	struct error err = { "" };

	(void)state;
	for (size_t step = 0; step <= WARMUP; step++) {
		float share = share_at(&part, step), y[COUNT] = { 0 };
		struct compress_input input = { .x = x, .count = COUNT, .state = &share };
		size_t length = dgc->encode(part.params, &input, bytes), sent = 0;

		assert_true(length <= bound);
		assert_int_equal(dgc->decode_add(part.params, bytes, length, 1, y, COUNT, &err), 0);
		for (size_t i = 0; i < COUNT; i++) {
			assert_true(y[i] == 0 || y[i] == x[i]);
			sent += y[i] != 0;
		}
		assert_int_equal(sent, sparse_share((double)share, COUNT));
	}
	free(bytes);
	free(x);
	part_release(&part);
}

static void more_than_the_largest_share_is_refused(void **state)
{
	struct part part = part_with(registry_find(&compressors, "dgc"), NULL);
	const struct compressor *dgc = PART_AS(&part, struct compressor);
	unsigned char bytes[64] = { 0 };
	float y[COUNT] = { 0 };
	struct error err = { "" };

	(void)state;
	sparse_put_header(bytes, 5); /* of 4, a thousandth */
	assert_int_equal(dgc->decode_add(part.params, bytes, sizeof(bytes), 1, y, COUNT, &err), -1);
	assert_non_null(strstr(err.text, "5 coordinates where 4 are the most"));
	part_release(&part);
}

static void a_payload_of_fewer_coordinates_is_no_longer(void **state)
{
	(void)state;
	for (size_t count = 1; count <= 600; count += count < 70 ? 1 : 53)
		for (size_t chosen = 1; chosen < count; chosen++)
			assert_true(sparse_bound(chosen - 1, count) <= sparse_bound(chosen, count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_share_falls_exponentially_from_a_quarter),
		cmocka_unit_test(without_a_warmup_the_share_is_given_from_the_beginning),
		cmocka_unit_test(as_many_are_sent_as_the_state_says),
		cmocka_unit_test(more_than_the_largest_share_is_refused),
		cmocka_unit_test(a_payload_of_fewer_coordinates_is_no_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
