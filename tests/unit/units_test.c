/* Texts with units: what they mean, and which are refused. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/units.h"

static void units_scale_to_bytes_and_seconds(void **state)
{
	struct error err;
	uint64_t bytes;
	double seconds;

	(void)state;
	assert_int_equal(units_bytes(&bytes, "64MiB", &err), 0);
	assert_int_equal(bytes, 64 << 20);
	assert_int_equal(units_bytes(&bytes, "10MB", &err), 0);
	assert_int_equal(bytes, 10000000);
	assert_int_equal(units_seconds(&seconds, "50ms", &err), 0);
	assert_true(seconds == 0.05);
	assert_int_equal(units_seconds(&seconds, "1.5h", &err), 0);
	assert_true(seconds == 5400);
}

static void what_does_not_fit_is_too_large(void **state)
{
	struct error err;
	uint64_t bytes;
	double seconds;

	(void)state;
	assert_int_equal(units_seconds(&seconds, "1e308d", &err), -1);
	assert_string_equal(err.text, "'1e308d' is too large");
	assert_int_equal(units_bytes(&bytes, "1e308TiB", &err), -1);
	assert_string_equal(err.text, "'1e308TiB' is too large");
	assert_int_equal(units_bytes(&bytes, "1e19", &err), -1);
	assert_string_equal(err.text, "'1e19' is too large");
	assert_int_equal(units_count(&bytes, "18446744073709551616", &err), -1);
	assert_string_equal(err.text, "'18446744073709551616' is too large");
}

static void other_texts_are_refused(void **state)
{
	static const char *const texts[] = {
		"", "s", "-1s", "1 s s", "nan", "inf", "1e999s", "2m3"
	};
	struct error err;
	double seconds;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(units_seconds(&seconds, texts[i], &err), -1);
		assert_non_null(strstr(err.text, "is not a time such as 2s or 5m"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_scale_to_bytes_and_seconds),
		cmocka_unit_test(what_does_not_fit_is_too_large),
		cmocka_unit_test(other_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
