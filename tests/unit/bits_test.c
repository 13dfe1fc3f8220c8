/* Packed fields of every width, against one bit after the other. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/compress/bits.h"
#include "runtime/device/kernels.h"
#include "runtime/rng.h"

enum { MOST = 1301 };

static const size_t counts[] = { 0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 511, 639, 640, 641, 1280, MOST };

static uint16_t *codes_of(size_t count, unsigned width)
{
	struct rng rng = rng_make(5, RNG_DATA, width, count);
	uint16_t *codes = xcalloc(count + 1, sizeof(*codes));

	for (size_t i = 0; i < count; i++)
		codes[i] = (uint16_t)rng_below(&rng, i, UINT64_C(1) << width);
	return codes;
}

/* What the stream is by definition. */
static unsigned char *bit_by_bit(const uint16_t *codes, size_t count, unsigned width)
{
	unsigned char *bytes = xcalloc(1, (count * width + 7) / 8 + 1);

	for (size_t bit = 0; bit < count * width; bit++)
		if (codes[bit / width] >> bit % width & 1)
			bytes[bit / 8] |= (unsigned char)(1 << bit % 8);
	return bytes;
}

/* Blocks of exactly the right size, so that a sanitizer sees a byte too many. */
static void check(size_t count, unsigned width)
{
	size_t size = bits_size(count, width);
	uint16_t *codes = codes_of(count, width), *back = xcalloc(count + 1, sizeof(*back));
	unsigned char *expected = bit_by_bit(codes, count, width), *bytes = xmalloc(size);

	assert_int_equal(size, (count * width + 7) / 8);
	bits_pack(bytes, codes, count, width);
	assert_memory_equal(bytes, expected, size);
	assert_true(bits_end_well(bytes, count, width));
	back[count] = 4711;
	bits_unpack(back, bytes, count, width);
	assert_memory_equal(back, codes, count * sizeof(*codes));
	assert_int_equal(back[count], 4711);
	free(codes);
	free(back);
	free(expected);
	free(bytes);
}

static void every_width_and_length_is_as_written_bit_by_bit(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		for (unsigned width = 1; width <= BITS_MOST; width++)
			for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
				check(counts[i], width);
	}
	kernels_choose(NULL);
}

static void bits_behind_the_last_field_are_seen(void **state)
{
	(void)state;
	for (unsigned width = 1; width <= BITS_MOST; width++)
		for (size_t count = 1; count < 17; count++) {
			size_t size = bits_size(count, width), used = count * width;
			unsigned char bytes[40] = { 0 };

			for (size_t bit = used; bit < 8 * size; bit++) {
				bytes[bit / 8] = (unsigned char)(1 << bit % 8);
				assert_false(bits_end_well(bytes, count, width));
				bytes[bit / 8] = 0;
			}
			memset(bytes, 255, used / 8);
			assert_true(bits_end_well(bytes, count, width));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_width_and_length_is_as_written_bit_by_bit),
		cmocka_unit_test(bits_behind_the_last_field_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
