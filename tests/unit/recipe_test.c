/* Recipes from files and texts, and --set. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/recipe.h"

static void parse(struct settings *recipe, const char *text)
{
	struct problems problems = { 0 };
	struct error err;

	assert_int_equal(recipe_parse(recipe, text, strlen(text), "r.yaml", &problems, &err), 0);
	problems_release(&problems);
}

static void a_file_is_read_with_its_path_in_places(void **state)
{
	char path[] = "/tmp/dstrain-recipe-XXXXXX";
	struct settings recipe = { 0 };
	struct problems problems = { 0 };
	struct error err;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "name: x\nname: y\n", 16), 0);
	close(fd);
	assert_int_equal(recipe_load(&recipe, path, &problems, &err), -1);
	assert_int_equal(problems.count, 1);
	assert_memory_equal(buf_text(&problems.text), path, strlen(path));
	assert_non_null(strstr(err.text, "has 1 problem"));
	assert_string_equal(settings_find(&recipe, "name")->values[0], "x");
	unlink(path);
	settings_release(&recipe);
	problems_release(&problems);
}

static void a_missing_file_is_an_error(void **state)
{
	struct settings recipe = { 0 };
	struct problems problems = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(recipe_load(&recipe, "/nonexistent.yaml", &problems, &err), -1);
	assert_string_equal(err.text, "cannot open '/nonexistent.yaml': No such file or directory");
	assert_int_equal(problems.count, 0);
}

static void set_replaces_adds_and_clears_the_way(void **state)
{
	struct settings recipe = { 0 };
	struct error err;

	(void)state;
	parse(&recipe, "train: {epochs: 1}\ndata: {shard: iid}\n");
	assert_int_equal(recipe_set(&recipe, "train.epochs=2", &err), 0);
	assert_int_equal(recipe_set(&recipe, "data.shard.dirichlet=0.3", &err), 0);
	assert_int_equal(recipe_set(&recipe, "model.hidden=[64, 32]", &err), 0);
	assert_int_equal(recipe_set(&recipe, "name=a=b", &err), 0);
	assert_string_equal(settings_find(&recipe, "train.epochs")->values[0], "2");
	assert_string_equal(settings_find(&recipe, "train.epochs")->place.file, "--set");
	assert_null(settings_find(&recipe, "data.shard"));
	assert_int_equal(settings_find(&recipe, "model.hidden")->count, 2);
	assert_string_equal(settings_find(&recipe, "name")->values[0], "a=b");
	settings_release(&recipe);
}

static void malformed_assignments_are_refused(void **state)
{
	static const char *const bad[] = {
		"train.epochs", "=2", "a=", "", "a..b=1", ".a=1", "a.=1"
	};
	struct settings recipe = { 0 };
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(recipe_set(&recipe, bad[i], &err), -1);
	assert_int_equal(recipe.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_with_its_path_in_places),
		cmocka_unit_test(a_missing_file_is_an_error),
		cmocka_unit_test(set_replaces_adds_and_clears_the_way),
		cmocka_unit_test(malformed_assignments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
