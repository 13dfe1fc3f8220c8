/* From bytes to floats and sums, on every instruction set that this processor has. */
#include "tests/unit/unit.h"

#include <math.h>

#include "runtime/device/kernels.h"

enum { MOST = 3 * (1 << 16) + 77 };

static uint8_t bytes[MOST];
static float scaled[MOST];

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < MOST; i++)
		bytes[i] = (uint8_t)(i < MOST / 2 ? 255 : i * i % 251);
	return 0;
}

static void bytes_are_scaled_and_shifted(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		for (size_t count = 0; count < 70; count++) {
			const uint8_t *from = bytes + MOST - count;

			scaled[count] = -1;
			(*set)->scale_bytes(scaled, from, count, 0.017f, -2.1f);
			for (size_t i = 0; i < count; i++)
				assert_true(fabs(scaled[i] - (from[i] * 0.017 - 2.1)) < 1e-6);
			assert_true(scaled[count] == -1);
		}
	}
}

static void sums_are_exact(void **state)
{
	static const size_t counts[] = { 0, 1, 31, 1024, 65536, 65537, MOST };

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
			uint64_t sum = 5, squares = 7, expected = 5, expected_squares = 7;

			for (size_t i = 0; i < counts[c]; i++) {
				expected += bytes[i];
				expected_squares += (uint64_t)bytes[i] * bytes[i];
			}
			(*set)->sum_bytes(bytes, counts[c], &sum, &squares);
			assert_int_equal(sum, expected);
			assert_int_equal(squares, expected_squares);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_scaled_and_shifted),
		cmocka_unit_test(sums_are_exact),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
