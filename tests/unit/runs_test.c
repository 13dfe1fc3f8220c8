/* Which runs there are: by their directories' locks, and forgotten with their directories. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/memory.h"
#include "lib/rundir.h"
#include "lib/runs.h"
#include "tests/unit/scratch.h"

/* A run directory that is known, and locked. */
static struct rundir begin(const char *path)
{
	struct rundir rundir = { 0 };
	struct error err;

	assert_int_equal(rundir_create(&rundir, path, "x", &err), 0);
	assert_int_equal(rundir_write(&rundir, "recipe.yaml", "a: b\n", 5, &err), 0);
	assert_int_equal(runs_enter(path, &err), 0);
	return rundir;
}

static void state_is(const char *word, const char *state)
{
	struct run run;
	struct error err;

	assert_int_equal(run_find(&run, word, &err), 0);
	assert_string_equal(run_state(&run), state);
	run_release(&run);
}

static void a_run_lasts_as_long_as_its_lock(void **state)
{
	struct rundir rundir = begin("one");
	struct error err;

	(void)state;
	assert_true(rundir_in_use("one"));
	state_is("one", "starting");
	rundir_release(&rundir);
	assert_false(rundir_in_use("one"));
	state_is("one", "killed");
	assert_int_equal(rundir_open(&rundir, "one", &err), 0);
	assert_int_equal(rundir_write(&rundir, RUN_RESULT, "{\"state\": \"done\"}", 17, &err), 0);
	state_is("one", "starting"); /* what it ended with before does not count */
	rundir_release(&rundir);
	state_is("one", "done");
	assert_int_equal(file_write("one/" RUN_RESULT, "{", 1, &err), 0);
	state_is("one", "killed"); /* torn */
}

static void looking_never_keeps_a_run_from_its_lock(void **state)
{
	struct rundir rundir = begin("looked-at");
	struct error err;

	(void)state;
	for (int i = 0; i < 100; i++) {
		rundir_release(&rundir);
		assert_false(rundir_in_use("looked-at"));
		assert_int_equal(rundir_open(&rundir, "looked-at", &err), 0);
	}
	rundir_release(&rundir);
}

static void names_are_found_where_they_are_unambiguous(void **state)
{
	struct rundir first = begin("here/same"), second = begin("there/same");
	struct run run;
	struct error err;

	(void)state;
	assert_int_equal(run_find(&run, "same", &err), -1);
	assert_non_null(strstr(err.text, "/here/same', '"));
	assert_int_equal(run_find(&run, "here/same", &err), 0);
	run_release(&run);
	rundir_release(&second);
	assert_int_equal(dir_remove("there", &err), 0);
	assert_int_equal(run_find(&run, "same", &err), 0);
	assert_true(run.live && run.dir[0] == '/' && strcmp(run.name, "same") == 0);
	run_release(&run);
	assert_int_equal(run_find(&run, "different", &err), -1);
	assert_int_equal(run_find(&run, "here", &err), -1);
	assert_int_equal(run_find(&run, "./nowhere", &err), -1);
	assert_string_equal(err.text, "'./nowhere' is not a run directory: it has no recipe.yaml");
	rundir_release(&first);
}

static void those_of_other_machines_and_nonsense_do_not_count(void **state)
{
	const char *elsewhere = "{\"run_dir\": \"/\", \"machine\": \"no-such-machine\"}";
	struct run *runs;
	size_t before, count;
	struct error err;

	(void)state;
	assert_int_equal(runs_list(&runs, &before, &err), 0);
	runs_free(runs, before);
	assert_int_equal(
		file_write("state/dstrain/runs/a.json", elsewhere, strlen(elsewhere), &err), 0);
	assert_int_equal(file_write("state/dstrain/runs/b.json", "x", 1, &err), 0);
	assert_int_equal(file_write("state/dstrain/runs/c.json", "{}", 2, &err), 0);
	assert_int_equal(runs_list(&runs, &count, &err), 0);
	assert_int_equal(count, before);
	runs_free(runs, count);
	assert_true(file_exists("state/dstrain/runs/a.json"));
	assert_false(file_exists("state/dstrain/runs/b.json"));
	assert_false(file_exists("state/dstrain/runs/c.json"));
}

/* A registry of our own. */
static int make(void **state)
{
	char *here, *path;
	int status = scratch_make(state);

	here = getcwd(NULL, 0);
	path = path_join(here, "state");
	setenv("XDG_STATE_HOME", path, 1);
	free(path);
	free(here);
	return status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_lasts_as_long_as_its_lock),
		cmocka_unit_test(looking_never_keeps_a_run_from_its_lock),
		cmocka_unit_test(names_are_found_where_they_are_unambiguous),
		cmocka_unit_test(those_of_other_machines_and_nonsense_do_not_count),
	};

	return cmocka_run_group_tests(tests, make, scratch_remove);
}
