/* Commands, files and started programs over SSH. */
#include "tests/unit/sshd.h"

static struct process start(struct ssh *ssh, const char *command)
{
	struct process process;
	struct error err;

	if (ssh_start(ssh, command, &process, &err) < 0)
		fail_msg("%s", err.text);
	return process;
}

static struct process_status wait_for(struct process *process)
{
	struct process_status status;

	assert_int_equal(process_wait(process, clock_now() + 60, &status), 1);
	return status;
}

/* Until the end of the stream, or `length` bytes. */
static char *read_some(int fd, size_t length)
{
	struct buf text = { 0 };
	double deadline = clock_now() + 60;

	while (text.length < length) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t got;

		assert_int_equal(poll(&ready, 1, clock_poll_ms(deadline)), 1);
		got = read(fd, buf_reserve(&text, length), length - text.length);
		assert_true(got >= 0);
		if (got == 0)
			break;
		text.length += (size_t)got;
	}
	buf_add(&text, "", 0);
	return buf_take(&text);
}

static void expect_stream(int fd, const char *text)
{
	char *got = read_some(fd, strlen(text));

	assert_string_equal(got, text);
	free(got);
}

static void commands_run_to_their_end(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	struct buf output = { 0 };
	struct error err;
	char *big = xmalloc(3000000);

	(void)state;
	expect_output(ssh, "echo one; echo \"$((1 + 1))\"", "one\n2\n");
	assert_int_equal(run(ssh, "echo so far; echo \"boom boom\" >&2; exit 3", &output, &err),
			 -1);
	assert_string_equal(err.text, "h: boom boom (the remote command: exit status 3)");
	assert_int_equal(run(ssh, "kill -SEGV $$", &output, &err), -1);
	assert_string_equal(err.text, "h: the remote command: killed by signal 11");
	assert_int_equal(run(ssh, "it's", &output, &err), -1);
	output.length = 0;
	memset(big, 'x', 3000000);
	assert_int_equal(ssh_run(ssh,
				 &(struct ssh_command){ .command = "cat",
							.input = big,
							.input_length = 3000000,
							.timeout_s = 60 },
				 &output, &err),
			 0);
	assert_int_equal(output.length, 3000000);
	assert_memory_equal(output.data, big, 3000000);
	free(big);
	buf_release(&output);
	ssh_close(ssh);
	host_release(&host);
}

static void a_command_that_hangs_is_given_up(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	struct buf output = { 0 };
	struct error err;
	double before = clock_now();

	(void)state;
	assert_int_equal(ssh_run(ssh, &(struct ssh_command){ .command = "cat", .timeout_s = 60 },
				 &output, &err),
			 0);
	assert_int_equal(ssh_run(ssh,
				 &(struct ssh_command){ .command = "exec tail -f /dev/null",
							.timeout_s = 0.2 },
				 &output, &err),
			 -1);
	assert_string_equal(err.text, "h: the remote command does not end in time");
	assert_true(clock_now() - before < 30);
	expect_output(ssh, "echo still here", "still here\n");
	ssh_close(ssh);
	buf_release(&output);
	host_release(&host);
}

static void other_login_shells_and_their_noise_do_not_matter(void **state)
{
	static const char *const shells[] = { "/usr/bin/fish", "/usr/bin/tcsh", "/bin/dash",
					      "/bin/bash" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		struct process other;
		struct buf output = { 0 };
		struct error err;
		struct host host;
		struct ssh *ssh;
		char lines[256];

		if (!file_exists(shells[i])) {
			print_message("no %s here\n", shells[i]);
			continue;
		}
		snprintf(lines, sizeof(lines),
			 "ForceCommand echo welcome; echo noise >&2; echo again; "
			 "exec %s -c \"$SSH_ORIGINAL_COMMAND\"",
			 shells[i]);
		host = make_host("h", start_server(&other, lines));
		ssh = connect_to(&host);
		assert_int_equal(ssh_run(ssh,
					 &(struct ssh_command){
						 .command = "echo mark; x=\"a  b\"; echo \"$x\"; "
							    "for i in 1 2; do echo $i; done",
						 .marker = "mark",
						 .timeout_s = 60 },
					 &output, &err),
				 0);
		assert_string_equal(buf_text(&output), "a  b\n1\n2\n");
		assert_int_equal(ssh_run(ssh,
					 &(struct ssh_command){ .command = "echo no",
								.marker = "mark",
								.timeout_s = 60 },
					 &output, &err),
				 -1);
		assert_string_equal(
			err.text, "h: the login shell did not run the command; it said 'welcome'");
		buf_release(&output);
		ssh_close(ssh);
		host_release(&host);
		process_release(&other);
	}
}

static void count_up(void *arg, uint64_t sent, uint64_t size)
{
	uint64_t *last = arg;

	assert_true(sent > *last && sent <= size);
	*last = sent;
}

static void files_arrive_whole_also_while_keys_change(void **state)
{
	enum { BYTES = 30 << 20 };
	struct process other;
	struct host host = make_host("h", start_server(&other, "RekeyLimit 4M\nMaxSessions 2"));
	struct ssh *ssh = connect_to(&host);
	char *remote = xasprintf("%s/arrived", directory), *local = xasprintf("%s/big", directory);
	char here[DIGEST_HEX], there[DIGEST_HEX];
	struct ssh_upload upload = { .local_path = local, .remote_path = remote, .executable = 1 };
	uint64_t last = 0;
	unsigned char *bytes = xmalloc(BYTES);
	struct error err;
	struct stat about;

	(void)state;
	assert_int_equal(random_bytes(bytes, BYTES, &err), 0);
	assert_int_equal(file_write(local, bytes, BYTES, &err), 0);
	free(bytes);
	upload.progress = count_up;
	upload.arg = &last;
	if (ssh_upload(ssh, &upload, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(last, BYTES);
	assert_int_equal(digest_file(here, local, &err), 0);
	assert_int_equal(digest_file(there, remote, &err), 0);
	assert_string_equal(here, there);
	assert_int_equal(stat(remote, &about), 0);
	assert_int_equal(about.st_mode & 0777, 0700);
	shell("[ $(ls %s/arrived* | wc -l) = 1 ]", directory);
	free(remote);
	free(local);
	ssh_close(ssh);
	host_release(&host);
	process_release(&other);
}

static void an_upload_that_fails_says_why_and_leaves_nothing(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	char *local = xasprintf("%s/id_rsa", directory);
	char *remote = xasprintf("%s/nodir/file", directory);
	struct ssh_upload upload = { .local_path = local, .remote_path = remote };
	struct error err;

	(void)state;
	assert_int_equal(ssh_upload(ssh, &upload, &err), -1);
	assert_non_null(strstr(err.text, "h: "));
	assert_non_null(strstr(err.text, "/nodir/file."));
	assert_non_null(strstr(err.text, "/nodir/file': exit status 1)"));
	upload.remote_path = "/dev/full/x";
	assert_int_equal(ssh_upload(ssh, &upload, &err), -1);
	upload.remote_path = "relative";
	assert_int_equal(ssh_upload(ssh, &upload, &err), -1);
	assert_non_null(strstr(err.text, "not a plain absolute path"));
	upload.local_path = "/nonexistent";
	assert_int_equal(ssh_upload(ssh, &upload, &err), -1);
	assert_non_null(strstr(err.text, "cannot open '/nonexistent'"));
	free(local);
	free(remote);
	ssh_close(ssh);
	host_release(&host);
}

static void many_processes_share_a_session_beyond_the_servers_limit(void **state)
{
	enum { PROCESSES = 25 };
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	struct process processes[PROCESSES];

	(void)state;
	for (int i = 0; i < PROCESSES; i++)
		processes[i] =
			start(ssh, "echo ready; echo oops >&2; while read x; do echo got $x; "
				   "done; exit 7");
	for (int i = 0; i < PROCESSES; i++)
		expect_stream(processes[i].out, "ready\n");
	expect_output(ssh, "echo between", "between\n");
	for (int i = PROCESSES - 1; i >= 0; i--) {
		assert_int_equal(write(processes[i].in, "one\n", 4), 4);
		expect_stream(processes[i].out, "got one\n");
		expect_stream(processes[i].err, "oops\n");
		close(processes[i].in);
		processes[i].in = -1;
		assert_int_equal(wait_for(&processes[i]).code, 7);
		process_release(&processes[i]);
	}
	ssh_close(ssh);
	host_release(&host);
}

static void a_slow_reader_stops_only_its_own_process(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	struct process endless = start(ssh, "exec yes");
	struct process sink = start(ssh, "sleep 1000");
	struct process_status status;
	char piece[65536];
	struct pollfd full = { .fd = sink.in, .events = POLLOUT };
	size_t written = 0;
	char *text;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	while (poll(&full, 1, 300) == 1) { /* nobody reads it: it must not vanish into memory */
		ssize_t sent = write(sink.in, piece, sizeof(piece));

		written += sent > 0 ? (size_t)sent : 0;
		assert_true(written < 16 << 20);
	}
	expect_output(ssh, "echo fine", "fine\n");
	assert_int_equal(process_wait(&endless, clock_now(), &status), 0);
	for (int i = 0; i < 100; i++) { /* what we read makes it go on */
		text = read_some(endless.out, 65536);
		assert_int_equal(text[65536 - 2], 'y');
		free(text);
	}
	process_release(&endless);
	process_release(&sink);
	expect_output(ssh, "echo fine", "fine\n");
	ssh_close(ssh);
	host_release(&host);
}

static void ends_are_reported(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	struct process process = start(ssh, "kill -KILL $$");
	struct process_status status = wait_for(&process);

	(void)state;
	assert_false(status.exited);
	assert_int_equal(status.signal, SIGKILL);
	process_release(&process);

	process = start(ssh, "exec >&- 2>&-; read x; exit 4"); /* closes its streams, and lives */
	{
		char *text = read_some(process.out, 10);

		assert_string_equal(text, "");
		free(text);
	}
	assert_int_equal(process_wait(&process, clock_now() + 0.05, &status), 0);
	process_kill(&process, SIGTERM); /* end of input */
	status = wait_for(&process);
	assert_true(status.exited);
	assert_int_equal(status.code, 4);
	process_release(&process);

	process = start(ssh, "cat; exit 0");
	process_kill(&process, SIGKILL); /* its channel closes: no status travels */
	status = wait_for(&process);
	assert_false(status.exited);
	assert_int_equal(status.signal, SIGKILL);
	process_release(&process);
	ssh_close(ssh);
	host_release(&host);
}

static void a_lost_connection_ends_its_processes(void **state)
{
	struct process other;
	struct host host = make_host("node3", start_server(&other, ""));
	struct ssh *ssh = connect_to(&host);
	struct process first = start(ssh, "cat"), second = start(ssh, "echo $PPID; cat");
	struct process_status status;
	struct process third;
	struct error err;
	char *parent;

	(void)state;
	parent = read_some(second.out, 2);
	free(parent);
	/* the connection is served by children of the one that listens, in sessions of their own */
	shell("ss -Htnp state established '( sport = :%u )' | sed 's/.*pid=\\([0-9]*\\).*/\\1/' | "
	      "xargs kill -9",
	      (unsigned)host.port);
	status = wait_for(&first);
	assert_false(status.exited);
	assert_non_null(strstr(status.reason, "connection to 'node3' lost: "));
	assert_non_null(strstr(wait_for(&second).reason, "connection to 'node3' lost: "));
	assert_int_equal(ssh_start(ssh, "cat", &third, &err), -1);
	assert_non_null(strstr(err.text, "node3: connection lost: "));
	process_release(&first);
	ssh_close(ssh);
	process_kill(&second, SIGKILL); /* outlives the session */
	process_release(&second);
	host_release(&host);
	process_release(&other);
}

static void an_idle_connection_lives_and_its_end_is_noticed(void **state)
{
	struct process other;
	struct host host = make_host(
		"h", start_server(&other, "ClientAliveInterval 1\nClientAliveCountMax 1"));
	struct ssh *ssh = connect_to(&host);

	(void)state;
	poll(NULL, 0, 2600); /* the server hangs up on a client that is silent for 2 s */
	expect_output(ssh, "echo fine", "fine\n");
	ssh_close(ssh);
	host_release(&host);
	process_release(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_run_to_their_end),
		cmocka_unit_test(a_command_that_hangs_is_given_up),
		cmocka_unit_test(other_login_shells_and_their_noise_do_not_matter),
		cmocka_unit_test(files_arrive_whole_also_while_keys_change),
		cmocka_unit_test(an_upload_that_fails_says_why_and_leaves_nothing),
		cmocka_unit_test(many_processes_share_a_session_beyond_the_servers_limit),
		cmocka_unit_test(a_slow_reader_stops_only_its_own_process),
		cmocka_unit_test(ends_are_reported),
		cmocka_unit_test(a_lost_connection_ends_its_processes),
		cmocka_unit_test(an_idle_connection_lives_and_its_end_is_noticed),
	};

	if (!file_exists("/usr/sbin/sshd")) {
		print_message("skipped: no /usr/sbin/sshd (package openssh-server)\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
