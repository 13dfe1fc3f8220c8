/* Settings and option tables: defaults, ranges, unknown keys, printing. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/opt.h"
#include "lib/setting.h"

struct params {
	size_t period;
	double rate;
	struct opt_counts hidden;
};

static const struct opt table[] = {
	{ "period", OPT_COUNT, offsetof(struct params, period), "16", "steps", .min = 1,
	  .max = 100 },
	{ "rate", OPT_REAL, offsetof(struct params, rate), NULL, "a rate", .min = 0, .max = 1 },
	{ "hidden", OPT_COUNTS, offsetof(struct params, hidden), "256,128", "widths" },
	{ 0 }
};

static const struct place here = { .file = "recipe.yaml", .line = 3, .column = 5 };

struct outcome {
	struct params params;
	struct settings given, resolved;
	struct problems problems;
};

static void read_all(struct outcome *o)
{
	opt_read(table, &o->given, "sync", &o->params, &o->resolved, &o->problems);
	settings_report_unused(&o->given, &o->resolved, &o->problems);
}

static void outcome_release(struct outcome *o)
{
	opt_release(table, &o->params);
	settings_release(&o->given);
	settings_release(&o->resolved);
	problems_release(&o->problems);
}

static void defaults_fill_what_is_not_given(void **state)
{
	struct outcome o = { 0 };
	struct buf text = { 0 };

	(void)state;
	settings_set(&o.given, "sync.rate", "0.5", here);
	read_all(&o);
	assert_string_equal(buf_text(&o.problems.text), "");
	assert_int_equal(o.params.period, 16);
	assert_int_equal(o.params.hidden.count, 2);
	assert_int_equal(o.params.hidden.values[1], 128);
	settings_print(&o.resolved, &text);
	assert_string_equal(buf_text(&text),
			    "sync:\n  period: 16\n  rate: 0.5\n  hidden: [256, 128]\n");
	buf_release(&text);
	outcome_release(&o);
}

static void every_problem_is_reported_with_its_place(void **state)
{
	struct outcome o = { 0 };

	(void)state;
	settings_set(&o.given, "sync.period", "101", here);
	settings_set(&o.given, "sync.rate", "nan", here);
	settings_set(&o.given, "sync.hiden", "[1]", here);
	read_all(&o);
	assert_int_equal(o.problems.count, 3);
	assert_string_equal(buf_text(&o.problems.text),
			    "recipe.yaml:3:5: sync.period: '101' is out of range: 1 to 100\n"
			    "recipe.yaml:3:5: sync.rate: 'nan' is not a finite number\n"
			    "recipe.yaml:3:5: unknown key 'sync.hiden'; did you mean 'hidden'?\n");
	outcome_release(&o);
}

static void a_value_in_place_of_a_section_is_reported(void **state)
{
	struct outcome o = { 0 };

	(void)state;
	settings_set(&o.given, "sync", "[0.5]", here);
	read_all(&o);
	assert_non_null(strstr(buf_text(&o.problems.text),
			       "recipe.yaml:3:5: 'sync' needs keys below it, not a list\n"));
	outcome_release(&o);
}

static void a_required_key_is_missed(void **state)
{
	struct outcome o = { 0 };

	(void)state;
	read_all(&o);
	assert_non_null(strstr(buf_text(&o.problems.text), "missing key 'sync.rate'"));
	outcome_release(&o);
}

struct files {
	char *one;
	struct opt_texts any, some;
};

static const struct opt file_table[] = {
	{ "one", OPT_PATH, offsetof(struct files, one), "", "a file" },
	{ "any", OPT_PATHS, offsetof(struct files, any), "", "files" },
	{ "some", OPT_PATHS, offsetof(struct files, some), NULL, "files" },
	{ 0 }
};

static void read_files(struct files *files, const char *any, const char *some, const char *problems)
{
	struct settings given = { 0 }, resolved = { 0 };
	struct problems found = { 0 };

	*files = (struct files){ 0 };
	if (any)
		settings_set(&given, "any", any, here);
	settings_set(&given, "some", some, here);
	opt_read(file_table, &given, "", files, &resolved, &found);
	assert_string_equal(buf_text(&found.text), problems);
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&found);
}

static void files_are_one_or_a_list(void **state)
{
	struct files files;
	size_t count;
	char **paths;

	(void)state;
	read_files(&files, NULL, "x", "");
	assert_null(opt_files(&file_table[0], &files, &count));
	assert_int_equal(files.any.count, 0);
	paths = opt_files(&file_table[2], &files, &count);
	assert_int_equal(count, 1);
	assert_string_equal(paths[0], "x");
	opt_release(file_table, &files);
	read_files(&files, "[a, b/c]", "[x]", "");
	paths = opt_files(&file_table[1], &files, &count);
	assert_int_equal(count, 2);
	assert_string_equal(paths[1], "b/c");
	opt_release(file_table, &files);
	read_files(&files, "[]", "[]", "recipe.yaml:3:5: some: must not be empty\n");
	opt_release(file_table, &files);
	read_files(&files, "", "", "recipe.yaml:3:5: some: must not be empty\n");
	opt_release(file_table, &files);
	read_files(&files, "[a, , b]", "x", "recipe.yaml:3:5: any: an item of the list is empty\n");
	opt_release(file_table, &files);
}

static void only_text_counts_as_text(void **state)
{
	static const char *const texts[] = {
		"", "a b", "tab\tline\n", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\x80"
	};
	static const char *const others[] = { "\x01",
					      "a\x7f",
					      "\xc2\x85",
					      "\xff",
					      "\xc3",
					      "\xc0\xaf",
					      "\x80",
					      "\xe0\x80\xaf",
					      "\xed\xa0\x80",
					      "\xef\xbb\xbf",
					      "\xef\xbf\xbf",
					      "\xf4\x90\x80\x80",
					      "\xf8\x88\x80\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_true(setting_is_text(texts[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (setting_is_text(others[i]))
			fail_msg("others[%zu] passed", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_fill_what_is_not_given),
		cmocka_unit_test(every_problem_is_reported_with_its_place),
		cmocka_unit_test(a_value_in_place_of_a_section_is_reported),
		cmocka_unit_test(a_required_key_is_missed),
		cmocka_unit_test(files_are_one_or_a_list),
		cmocka_unit_test(only_text_counts_as_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
