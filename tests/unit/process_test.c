/* Started programs: their streams, how they end, and that nothing outlives us. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/process.h"

static struct process start_shell(const char *script, char *const environment[])
{
	char shell[] = "/bin/sh", flag[] = "-c", text[512];
	char *argv[] = { shell, flag, text, NULL };
	struct process process = { 0 };
	struct error err;

	assert_true(strlen(script) < sizeof(text));
	snprintf(text, sizeof(text), "%s", script);
	if (process_start(&process, argv, environment, &err) < 0)
		fail_msg("%s", err.text);
	return process;
}

/* Until end of file, which comes when the last holder of the other end is gone. */
static char *read_all(int fd)
{
	struct buf text = { 0 };
	double deadline = clock_now() + 60;
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	for (;;) {
		char piece[256];
		ssize_t got;

		assert_true(poll(&ready, 1, clock_poll_ms(deadline)) == 1);
		got = read(fd, piece, sizeof(piece));
		assert_true(got >= 0);
		if (got == 0)
			return buf_take(&text);
		buf_add(&text, piece, (size_t)got);
	}
}

static struct process_status wait_for(struct process *process)
{
	struct process_status status;

	assert_int_equal(process_wait(process, clock_now() + 60, &status), 1);
	return status;
}

static void an_exit_code_is_reported(void **state)
{
	struct process process = start_shell("exit 42", NULL);
	struct process_status status = wait_for(&process);

	(void)state;
	assert_true(status.exited);
	assert_int_equal(status.code, 42);
	assert_string_equal(status.reason, "");
	assert_int_equal(wait_for(&process).code, 42); /* and stays so */
	process_release(&process);
	process_release(&process);
}

static void a_deadly_signal_is_reported(void **state)
{
	struct process process = start_shell("kill -SEGV $$", NULL);
	struct process_status status = wait_for(&process);

	(void)state;
	assert_false(status.exited);
	assert_int_equal(status.signal, SIGSEGV);
	process_release(&process);
}

static void the_three_streams_are_separate_and_closing_in_ends_it(void **state)
{
	struct process process =
		start_shell("read line; echo \"<$line>\"; echo oops >&2; cat", NULL);
	char *text;

	(void)state;
	assert_int_equal(write(process.in, "one\ntwo\n", 8), 8);
	close(process.in);
	process.in = -1;
	text = read_all(process.out);
	assert_string_equal(text, "<one>\ntwo\n");
	free(text);
	text = read_all(process.err);
	assert_string_equal(text, "oops\n");
	free(text);
	assert_int_equal(wait_for(&process).code, 0);
	process_release(&process);
}

static void given_variables_replace_and_add_to_ours(void **state)
{
	char old[] = "DSTRAIN_TEST_OLD=new", added[] = "DSTRAIN_TEST_ADDED=1";
	char *environment[] = { old, added, NULL };
	struct process process;
	char *text;

	(void)state;
	setenv("DSTRAIN_TEST_OLD", "old", 1);
	setenv("DSTRAIN_TEST_KEPT", "kept", 1);
	process = start_shell("echo $DSTRAIN_TEST_OLD $DSTRAIN_TEST_ADDED $DSTRAIN_TEST_KEPT",
			      environment);
	text = read_all(process.out);
	assert_string_equal(text, "new 1 kept\n");
	free(text);
	process_release(&process);
}

static void our_ignored_signals_are_not_inherited(void **state)
{
	struct process process;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	process = start_shell("kill -PIPE $$; exit 3", NULL);
	assert_int_equal(wait_for(&process).signal, SIGPIPE);
	process_release(&process);
	signal(SIGPIPE, SIG_DFL);
}

static void a_running_one_is_still_running_at_the_deadline(void **state)
{
	struct process process = start_shell("cat", NULL);
	struct process_status status;

	(void)state;
	assert_int_equal(process_wait(&process, clock_now() + 0.02, &status), 0);
	assert_int_equal(process_wait(&process, 0, &status), 0);
	process_release(&process);
}

static void a_kill_reaches_the_whole_group(void **state)
{
	struct process process = start_shell("sleep 1000 & echo on; wait", NULL);
	char on[4] = "";
	struct pollfd ready = { .fd = process.out, .events = POLLIN };
	char *text;

	(void)state;
	assert_int_equal(poll(&ready, 1, 60000), 1);
	assert_int_equal(read(process.out, on, 3), 3);
	process_kill(&process, SIGTERM);
	text = read_all(process.out); /* ends when the sleep is gone too */
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(wait_for(&process).signal, SIGTERM);
	process_release(&process);
}

static void what_an_ended_one_leaves_behind_is_ended(void **state)
{
	struct process process = start_shell("sleep 1000 & exit 5", NULL);
	char *text;

	(void)state;
	assert_int_equal(wait_for(&process).code, 5);
	text = read_all(process.out);
	assert_string_equal(text, "");
	free(text);
	process_release(&process);
}

static void release_ends_a_running_one_and_its_children(void **state)
{
	int held[2];
	struct process process;
	char *text;

	(void)state;
	assert_int_equal(pipe(held), 0); /* inherited: end of file when all of them are gone */
	process = start_shell("trap '' TERM HUP; sleep 1000 & cat", NULL);
	close(held[1]);
	process_release(&process);
	text = read_all(held[0]);
	assert_string_equal(text, "");
	free(text);
	close(held[0]);
}

static void it_dies_with_us(void **state)
{
	int held[2];
	char *text;
	pid_t middle;

	(void)state;
	assert_int_equal(pipe(held), 0);
	middle = fork();
	assert_true(middle >= 0);
	if (middle == 0) {
		char program[] = "/bin/sleep", seconds[] = "1000";
		char *argv[] = { program, seconds, NULL };
		struct process process;
		struct error err;

		_exit(process_start(&process, argv, NULL, &err) < 0);
	}
	close(held[1]);
	assert_int_equal(waitpid(middle, NULL, 0), middle);
	text = read_all(held[0]);
	assert_string_equal(text, "");
	free(text);
	close(held[0]);
}

static void a_missing_program_is_said(void **state)
{
	char program[] = "/nonexistent/program";
	char *argv[] = { program, NULL };
	struct process process = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(process_start(&process, argv, NULL, &err), -1);
	assert_string_equal(err.text,
			    "cannot start '/nonexistent/program': No such file or directory");
	assert_null(process.ops);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie either */
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exit_code_is_reported),
		cmocka_unit_test(a_deadly_signal_is_reported),
		cmocka_unit_test(the_three_streams_are_separate_and_closing_in_ends_it),
		cmocka_unit_test(given_variables_replace_and_add_to_ours),
		cmocka_unit_test(our_ignored_signals_are_not_inherited),
		cmocka_unit_test(a_running_one_is_still_running_at_the_deadline),
		cmocka_unit_test(a_kill_reaches_the_whole_group),
		cmocka_unit_test(what_an_ended_one_leaves_behind_is_ended),
		cmocka_unit_test(release_ends_a_running_one_and_its_children),
		cmocka_unit_test(it_dies_with_us),
		cmocka_unit_test(a_missing_program_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
