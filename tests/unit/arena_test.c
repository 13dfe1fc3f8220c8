/* Arrays with lives of their own in one piece of memory. */
#include "tests/unit/unit.h"

#include <stdbool.h>

#include "lib/memory.h"
#include "runtime/model/arena.h"
#include "runtime/rng.h"

enum { ITEMS = 60, MOMENTS = 40, LINE = 64 };

static size_t rounded(size_t bytes)
{
	return (bytes + LINE - 1) / LINE * LINE;
}

static bool meet(const struct arena_item *a, const struct arena_item *b)
{
	return a->begin <= b->end && b->begin <= a->end;
}

static bool overlap(const struct arena_item *a, const struct arena_item *b)
{
	return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* What must be there at the fullest moment. */
static size_t least(const struct arena_item *items, size_t count)
{
	size_t most = 0;

	for (size_t moment = 0; moment < MOMENTS; moment++) {
		size_t bytes = 0;

		for (size_t i = 0; i < count; i++)
			if (items[i].begin <= moment && moment <= items[i].end)
				bytes += rounded(items[i].bytes);
		most = bytes > most ? bytes : most;
	}
	return most;
}

static void check(struct arena_item *items, size_t count)
{
	size_t total = arena_place(items, count), sum = 0;

	for (size_t i = 0; i < count; i++) {
		assert_int_equal(items[i].offset % LINE, 0);
		assert_true(items[i].offset + items[i].bytes <= total);
		sum += rounded(items[i].bytes);
		for (size_t j = 0; j < i; j++)
			assert_false(meet(&items[i], &items[j]) && overlap(&items[i], &items[j]));
	}
	assert_in_range(total, least(items, count), sum);
}

static void no_two_that_live_together_overlap(void **state)
{
	struct arena_item items[ITEMS];

	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct rng rng = rng_make(seed, RNG_DATA, 0, 0);
		size_t count = 1 + seed % ITEMS;

		for (size_t i = 0; i < count; i++) {
			size_t begin = rng_below(&rng, 3 * i, MOMENTS);

			items[i] = (struct arena_item){
				.bytes = rng_below(&rng, 3 * i + 1, seed % 2 ? 1000 : 5),
				.begin = begin,
				.end = begin + rng_below(&rng, 3 * i + 2, MOMENTS - begin),
			};
		}
		check(items, count);
	}
}

static void memory_is_used_again_when_a_life_is_over(void **state)
{
	struct arena_item items[MOMENTS];

	(void)state;
	for (size_t i = 0; i < MOMENTS; i++) /* each meets the one before and the one behind */
		items[i] = (struct arena_item){ .bytes = 640, .begin = i, .end = i + 1 };
	assert_int_equal(arena_place(items, MOMENTS), 2 * 640);
	check(items, MOMENTS);
}

static void what_lives_all_the_time_shares_with_nobody(void **state)
{
	struct arena_item items[] = { { .bytes = 100, .begin = 0, .end = 9 },
				      { .bytes = 64, .begin = 0, .end = 0 },
				      { .bytes = 64, .begin = 9, .end = 9 } };

	(void)state;
	check(items, ARRAY_SIZE(items));
	assert_int_equal(arena_place(items, ARRAY_SIZE(items)), 128 + 64);
	assert_int_equal(items[1].offset, items[2].offset);
}

static void nothing_needs_nothing(void **state)
{
	struct arena_item empty = { .bytes = 0 };

	(void)state;
	assert_int_equal(arena_place(NULL, 0), 0);
	assert_int_equal(arena_place(&empty, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_that_live_together_overlap),
		cmocka_unit_test(memory_is_used_again_when_a_life_is_over),
		cmocka_unit_test(what_lives_all_the_time_shares_with_nobody),
		cmocka_unit_test(nothing_needs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
