/* Run directories are never shared, never overwritten, and named without asking. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/rundir.h"
#include "tests/unit/scratch.h"

static void names_are_unique(void **state)
{
	struct rundir first = { 0 }, second = { 0 }, third = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(rundir_create(&first, NULL, "mlp", &err), 0);
	assert_string_equal(first.path, "runs/mlp");
	assert_int_equal(rundir_create(&second, NULL, "mlp", &err), 0);
	assert_string_equal(second.path, "runs/mlp-2");
	rundir_release(&first);
	assert_int_equal(rundir_create(&third, NULL, "mlp", &err), 0); /* old ones stay */
	assert_string_equal(third.path, "runs/mlp-3");
	assert_true(file_exists("runs/mlp-3/logs") && file_exists("runs/mlp-3/checkpoints"));
	rundir_release(&second);
	rundir_release(&third);
}

static void one_dstrain_at_a_time(void **state)
{
	struct rundir run = { 0 }, other = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(rundir_create(&run, "locked", "x", &err), 0);
	assert_int_equal(rundir_write(&run, "recipe.yaml", "", 0, &err), 0);
	assert_int_equal(rundir_open(&other, "locked", &err), -1);
	assert_non_null(strstr(err.text, "'locked' is in use by another dstrain"));
	assert_null(other.path);
	rundir_release(&run);
	assert_int_equal(rundir_open(&other, "locked", &err), 0);
	rundir_release(&other);
}

static void a_directory_with_something_in_it_is_not_taken(void **state)
{
	struct rundir run = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(mkdir("full", 0700), 0);
	assert_int_equal(file_write("full/.hidden", "", 0, &err), 0);
	assert_int_equal(rundir_create(&run, "full", "x", &err), -1);
	assert_string_equal(err.text, "'full' is not empty; choose another directory");
	assert_int_equal(file_write("full/recipe.yaml", "", 0, &err), 0);
	assert_int_equal(file_write("full/metrics.jsonl", "{}", 2, &err), 0);
	assert_int_equal(rundir_create(&run, "full", "x", &err), -1);
	assert_string_equal(err.text, "'full' is of a run that left no checkpoint to go on from; "
				      "choose another directory, or remove it");
	assert_int_equal(dir_make("full/checkpoints/.step-3.tmp", &err),
			 0); /* was never finished */
	assert_int_equal(rundir_create(&run, "full", "x", &err), -1);
	assert_non_null(strstr(err.text, "no checkpoint"));
	assert_int_equal(dir_make("full/checkpoints/step-3", &err), 0);
	assert_int_equal(rundir_create(&run, "full", "x", &err), -1);
	assert_string_equal(err.text, "'full' is not empty; to go on with it: dstrain resume full");
	assert_false(file_exists("full/lock"));
	assert_true(file_exists("full/.hidden"));
	assert_int_equal(rundir_create(&run, "full/.hidden", "x", &err), -1); /* a file */
	assert_non_null(strstr(err.text, "'full/.hidden' is not a directory"));
}

/* It may be a mount point, or of a mode that the user chose: it is used, not made anew. */
static void an_empty_directory_is_used_as_it_is(void **state)
{
	struct rundir run = { 0 };
	struct stat before, after;
	struct error err;

	(void)state;
	assert_int_equal(mkdir("empty", 0755), 0);
	assert_int_equal(chmod("empty", 0751), 0);
	assert_int_equal(stat("empty", &before), 0);
	assert_int_equal(rundir_create(&run, "empty", "x", &err), 0);
	assert_int_equal(stat("empty", &after), 0);
	assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
	rundir_release(&run);
	assert_int_equal(mkdir("here", 0700), 0);
	assert_int_equal(chdir("here"), 0);
	assert_int_equal(rundir_create(&run, ".", "x", &err), 0);
	rundir_release(&run);
	assert_int_equal(chdir(".."), 0);
}

static void parents_are_made(void **state)
{
	struct rundir run = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(rundir_create(&run, "a/b/c", "x", &err), 0);
	assert_true(file_exists("a/b/c/lock"));
	rundir_release(&run);
}

static void only_a_run_directory_is_opened(void **state)
{
	struct rundir run = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(mkdir("plain", 0700), 0);
	assert_int_equal(rundir_open(&run, "plain", &err), -1);
	assert_non_null(strstr(err.text, "'plain' is not a run directory"));
	assert_false(file_exists("plain/lock"));
	assert_int_equal(rundir_open(&run, "absent", &err), -1);
	assert_non_null(strstr(err.text, "'absent'"));
	assert_false(file_exists("absent"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(one_dstrain_at_a_time),
		cmocka_unit_test(a_directory_with_something_in_it_is_not_taken),
		cmocka_unit_test(an_empty_directory_is_used_as_it_is),
		cmocka_unit_test(parents_are_made),
		cmocka_unit_test(only_a_run_directory_is_opened),
	};

	return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
