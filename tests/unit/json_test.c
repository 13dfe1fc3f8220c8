/* JSON: what is printed reads back the same; what is broken is refused with its place. */
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/memory.h"

static void assert_prints(const struct json *json, size_t indent, const char *expected)
{
	struct buf text = { 0 };

	json_print(json, indent, &text);
	assert_string_equal(buf_text(&text), expected);
	buf_release(&text);
}

static struct json *example(void)
{
	struct json *all = json_object_new();
	struct json *shape = json_array_new();
	struct json *inner = json_object_new();

	json_add_text(all, "name", "a \"quoted\"\\\n\x01 name");
	json_add_count(all, "a", 18446744073709551ULL);
	json_add_real(all, "loss", 0.1);
	json_add_real(all, "nan", NAN);
	json_add_real(all, "inf", INFINITY);
	json_add_text(all, "none", NULL);
	json_add_bool(all, "good", true);
	json_add_count(shape, NULL, 2);
	json_add_real(shape, NULL, 3);
	json_add(all, "shape", shape);
	json_add(inner, "empty", json_array_new());
	json_add(all, "inner", inner);
	json_add(all, "nothing", json_object_new());
	return all;
}

static void keys_keep_their_order_on_one_line(void **state)
{
	struct json *json = example();

	(void)state;
	assert_prints(json, 0,
		      "{\"name\":\"a \\\"quoted\\\"\\\\\\n\\u0001 name\",\"a\":18446744073709551,"
		      "\"loss\":0.1,\"nan\":null,\"inf\":null,\"none\":null,\"good\":true,"
		      "\"shape\":[2,3.0],\"inner\":{\"empty\":[]},\"nothing\":{}}");
	json_free(json);
}

static void indented_text_has_a_line_per_key(void **state)
{
	struct json *json = json_object_new(), *list = json_array_new();
	struct json *inner = json_object_new();

	(void)state;
	json_add_count(inner, "b", 1);
	json_add(list, NULL, inner);
	json_add_real(json, "a", 1e300);
	json_add(json, "list", list);
	assert_prints(json, 2,
		      "{\n  \"a\": 1e+300,\n  \"list\": [\n    {\n      \"b\": 1\n    }\n"
		      "  ]\n}\n");
	json_free(json);
}

static void printed_text_reads_back_the_same(void **state)
{
	struct json *json = example(), *back;
	struct buf once = { 0 }, twice = { 0 };
	struct error err;

	(void)state;
	json_print(json, 3, &once);
	back = json_parse(once.data, once.length, &err);
	assert_non_null(back);
	json_print(back, 3, &twice);
	assert_string_equal(once.data, twice.data);
	buf_release(&once);
	buf_release(&twice);
	json_free(json);
	json_free(back);
}

static void assert_real_round_trips(double value)
{
	struct json *json = json_object_new(), *back;
	struct buf text = { 0 };
	struct error err;
	double read;

	json_add_real(json, "x", value);
	json_print(json, 0, &text);
	back = json_parse(text.data, text.length, &err);
	assert_non_null(back);
	read = json_get_real(back, "x", 77);
	assert_memory_equal(&read, &value, sizeof(value));
	json_free(json);
	json_free(back);
	buf_release(&text);
}

static void every_double_reads_back_bit_for_bit(void **state)
{
	const double values[] = { 0.0,	       -0.0,	       1.0,	0.1,
				  1.0 / 3,     2.0 / 3 * 1e-5, DBL_MAX, DBL_MIN,
				  DBL_EPSILON, 5e-324,	       1e15,	1e16 + 2,
				  -1e-7,       123456789.123,  3.0e20,	0.30000000000000004 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		assert_real_round_trips(values[i]);
	for (uint64_t i = 1; i <= 2000; i++) {
		uint64_t bits = i * 0x9E3779B97F4A7C15u;
		double value;

		memcpy(&value, &bits, sizeof(value));
		if (isfinite(value))
			assert_real_round_trips(value);
	}
}

static void a_missing_or_mistyped_member_is_the_fallback(void **state)
{
	struct json *json = example();

	(void)state;
	assert_int_equal(json_get_count(json, "absent", 5), 5);
	assert_int_equal(json_get_count(json, "name", 5), 5);
	assert_null(json_get_text(json, "a"));
	assert_null(json_get_text(json, "none"));
	assert_true(json_get_real(json, "good", 2.5) == 2.5);
	assert_true(json_get_real(json, "a", 0) == 18446744073709551.0);
	assert_true(json_get_bool(json, "good", false));
	assert_true(json_get_bool(json, "a", true));
	assert_null(json_get(json_get(json, "absent"), "deeper"));
	assert_int_equal(json_size(json), 10);
	assert_int_equal(json_size(json_get(json, "shape")), 2);
	assert_int_equal(json_size(json_get(json, "name")), 0);
	assert_int_equal(json_count(json_at(json_get(json, "shape"), 0), 9), 2);
	assert_null(json_at(json_get(json, "shape"), 2));
	assert_string_equal(json_key_at(json, 2), "loss");
	assert_null(json_key_at(json, 10));
	json_free(json);
}

static void a_negative_count_is_the_fallback(void **state)
{
	const char *text = "{\"x\": -1}";
	struct error err;
	struct json *json = json_parse(text, strlen(text), &err);

	(void)state;
	assert_int_equal(json_get_count(json, "x", 3), 3);
	json_free(json);
}

static void text_that_is_not_utf8_is_still_printed(void **state)
{
	struct json *json = json_object_new();

	(void)state;
	json_add_text(json, "caf\xe9", "na\xefve");
	json_add_text(json, "fine", "na\xc3\xafve");
	assert_prints(json, 0, "{\"caf?\":\"na?ve\",\"fine\":\"na\xc3\xafve\"}");
	json_free(json);
}

static void broken_text_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "{\"a\": 1,\n \"a\": 2}", "line 2, column 4: duplicate object key near '\"a\"'" },
		{ "{\"a\": }", "line 1, column 7: unexpected token near '}'" },
		{ "", "line 1, column 0: '[' or '{' expected near end of file" },
		{ "{} x", "line 1, column 4: end of file expected near 'x'" },
		{ "{\"a\": 99999999999999999999}", "line 1, column 26: too big integer near "
						   "'99999999999999999999'" },
		{ "[NaN]", "line 1, column 4: invalid token near 'NaN'" },
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_null(json_parse(cases[i].text, strlen(cases[i].text), &err));
		assert_string_equal(err.text, cases[i].message);
	}
}

static void deep_nesting_is_refused(void **state)
{
	size_t depth = 100000;
	char *text = xmalloc(depth);
	struct error err;

	(void)state;
	memset(text, '[', depth);
	assert_null(json_parse(text, depth, &err));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_keep_their_order_on_one_line),
		cmocka_unit_test(indented_text_has_a_line_per_key),
		cmocka_unit_test(printed_text_reads_back_the_same),
		cmocka_unit_test(every_double_reads_back_bit_for_bit),
		cmocka_unit_test(a_missing_or_mistyped_member_is_the_fallback),
		cmocka_unit_test(a_negative_count_is_the_fallback),
		cmocka_unit_test(text_that_is_not_utf8_is_still_printed),
		cmocka_unit_test(broken_text_is_refused_with_its_place),
		cmocka_unit_test(deep_nesting_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
