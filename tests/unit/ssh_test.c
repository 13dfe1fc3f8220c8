/* SSH against real servers (OpenSSH's sshd on loopback): keys, failures, commands, streams. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/memory.h"
#include "lib/process.h"
#include "lib/provision.h"
#include "lib/ssh.h"
#include "lib/ssh_config.h"

static char directory[] = "/tmp/dstrain-ssh-XXXXXX";
static struct process server; /* the one that most tests talk to */
static int server_port;

/* A shell command on this machine that must work. */
static void shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int listen_somewhere(int *port)
{
	struct sockaddr_in at = loopback(0);
	socklen_t length = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
	assert_int_equal(listen(fd, 0), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static bool answers(int port)
{
	struct sockaddr_in at = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool there = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;

	close(fd);
	return there;
}

/* An sshd of our own, with more lines for its configuration; the port is the caller's to use. */
static int start_server(struct process *process, const char *lines)
{
	char program[] = "/usr/sbin/sshd", stay[] = "-De", flag[] = "-f", path[256];
	char *argv[] = { program, stay, flag, path, NULL };
	struct buf text = { 0 };
	struct error err;
	double deadline = clock_now() + 10;
	int port, fd = listen_somewhere(&port);

	close(fd);
	snprintf(path, sizeof(path), "%s/sshd.%d", directory, port);
	buf_addf(&text,
		 "Port %d\nListenAddress 127.0.0.1\nPidFile none\nStrictModes no\nUsePAM no\n"
		 "UseDNS no\nAuthorizedKeysFile %s/authorized\nHostKey %s/host_ed25519\n"
		 "HostKey %s/host_ecdsa\nSetEnv XDG_CACHE_HOME=%s/cache\n%s\n",
		 port, directory, directory, directory, directory, lines);
	assert_int_equal(file_write(path, text.data, text.length, &err), 0);
	buf_release(&text);
	if (process_start(process, argv, NULL, &err) < 0)
		fail_msg("%s", err.text);
	while (!answers(port)) {
		assert_true(clock_now() < deadline);
		poll(NULL, 0, 5);
	}
	return port;
}

static struct host make_host(const char *name, int port)
{
	struct host host = { .name = xstrdup(name),
			     .address = xstrdup("127.0.0.1"),
			     .user = ssh_login_name(),
			     .port = (uint16_t)port,
			     .connect_timeout_s = 10,
			     .slots = 1 };

	host.identities = xcalloc(1, sizeof(char *));
	host.identities[0] = xasprintf("%s/id_ed25519", directory);
	host.identity_count = 1;
	host.known_hosts = xcalloc(1, sizeof(char *));
	host.known_hosts[0] = xasprintf("%s/known_hosts", directory);
	host.known_hosts_count = 1;
	host.host_key_check = HOST_KEY_NO_CHECK;
	return host;
}

static void set_text(char **field, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	free(*field);
	*field = xstrdup(text);
}

static struct ssh *connect_to(const struct host *host)
{
	struct error err;
	struct ssh *ssh;

	if (ssh_connect(&ssh, host, &err) < 0)
		fail_msg("%s", err.text);
	return ssh;
}

static void expect_refusal(const struct host *host, const char *const *parts)
{
	struct error err;
	struct ssh *ssh;

	assert_int_equal(ssh_connect(&ssh, host, &err), -1);
	assert_int_equal(strncmp(err.text, host->name, strlen(host->name)), 0);
	for (; *parts; parts++)
		if (!strstr(err.text, *parts))
			fail_msg("no '%s' in: %s", *parts, err.text);
}

#define REFUSED(host, ...) expect_refusal(host, (const char *const[]){ __VA_ARGS__, NULL })

static int run(struct ssh *ssh, const char *command, struct buf *output, struct error *err)
{
	return ssh_run(ssh, &(struct ssh_command){ .command = command, .timeout_s = 20 }, output,
		       err);
}

static void expect_output(struct ssh *ssh, const char *command, const char *text)
{
	struct buf output = { 0 };
	struct error err;

	if (run(ssh, command, &output, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(buf_text(&output), text);
	buf_release(&output);
}

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

	assert_int_equal(process_wait(process, clock_now() + 10, &status), 1);
	return status;
}

/* Until the end of the stream, or `length` bytes. */
static char *read_some(int fd, size_t length)
{
	struct buf text = { 0 };
	double deadline = clock_now() + 10;

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
							.timeout_s = 20 },
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
	assert_int_equal(ssh_run(ssh, &(struct ssh_command){ .command = "cat", .timeout_s = 5 },
				 &output, &err),
			 0);
	assert_int_equal(ssh_run(ssh,
				 &(struct ssh_command){ .command = "exec tail -f /dev/null",
							.timeout_s = 0.2 },
				 &output, &err),
			 -1);
	assert_string_equal(err.text, "h: the remote command does not end in time");
	assert_true(clock_now() - before < 5);
	expect_output(ssh, "echo still here", "still here\n");
	ssh_close(ssh);
	buf_release(&output);
	host_release(&host);
}

static void unknown_host_keys_are_refused_with_the_way_out(void **state)
{
	struct host host = make_host("node3", server_port);
	char scan[128];

	(void)state;
	shell("rm -f %s", host.known_hosts[0]);
	host.host_key_check = HOST_KEY_STRICT;
	snprintf(scan, sizeof(scan), "ssh-keyscan -t ed25519 -p %d 127.0.0.1 >> ", server_port);
	REFUSED(&host, "node3: its host key is not known: ssh-ed25519 SHA256:", scan,
		host.known_hosts[0]);
	/* the command does what it says */
	shell("%s %s 2>/dev/null", scan, host.known_hosts[0]);
	ssh_close(connect_to(&host));
	shell("ssh-keygen -q -H -f %s >/dev/null 2>&1", host.known_hosts[0]);
	ssh_close(connect_to(&host));
	host_release(&host);
}

static void changed_host_keys_are_refused_with_the_way_out(void **state)
{
	struct host host = make_host("node3", server_port);
	char name[64], line[64];

	(void)state;
	host.host_key_check = HOST_KEY_ACCEPT_NEW;
	snprintf(name, sizeof(name), "[127.0.0.1]:%d", server_port);
	shell("(echo '# comment'; echo '%s' $(cat %s/id_ed25519.pub)) > %s", name, directory,
	      host.known_hosts[0]);
	snprintf(line, sizeof(line), "line 2 says");
	REFUSED(&host, "node3: its host key has CHANGED", "SHA256:", line, "ssh-keygen -f", "-R",
		name);
	shell("(printf '@revoked '; echo '%s' $(cat %s/host_ed25519.pub)) > %s", name, directory,
	      host.known_hosts[0]);
	REFUSED(&host, "is revoked in");
	host_release(&host);
}

static void new_host_keys_are_added_when_asked_for(void **state)
{
	struct host host = make_host("h", server_port);

	(void)state;
	shell("printf '# no line end' > %s", host.known_hosts[0]);
	host.host_key_check = HOST_KEY_ACCEPT_NEW;
	ssh_close(connect_to(&host));
	host.host_key_check = HOST_KEY_STRICT;
	ssh_close(connect_to(&host));
	shell("[ $(wc -l < %s) = 2 ] && ssh-keygen -f %s -F '[127.0.0.1]:%d' >/dev/null",
	      host.known_hosts[0], host.known_hosts[0], server_port);
	host_release(&host);
}

static void known_hosts_is_read_as_ssh_reads_it(void **state)
{
	struct host host = make_host("h", server_port);

	(void)state;
	host.host_key_check = HOST_KEY_STRICT;
	/* only one kind of key is known, and not the kind that we would ask for first */
	shell("echo '[127.0.0.1]:%d' $(cat %s/host_ecdsa.pub) > %s", server_port, directory,
	      host.known_hosts[0]);
	ssh_close(connect_to(&host));
	shell("echo '!10.0.0.1,[127.*]:%d' $(cat %s/host_ed25519.pub) > %s", server_port, directory,
	      host.known_hosts[0]);
	ssh_close(connect_to(&host));
	shell("echo '!*127*,[127.*]:%d' $(cat %s/host_ed25519.pub) > %s", server_port, directory,
	      host.known_hosts[0]);
	REFUSED(&host, "not known");
	/* without the port the same key will do, another is no change */
	shell("echo 127.0.0.1 $(cat %s/host_ed25519.pub) > %s", directory, host.known_hosts[0]);
	ssh_close(connect_to(&host));
	shell("echo 127.0.0.1 $(cat %s/id_ed25519.pub) > %s", directory, host.known_hosts[0]);
	REFUSED(&host, "not known");
	shell("echo other $(cat %s/host_ed25519.pub) > %s", directory, host.known_hosts[0]);
	set_text(&host.host_key_alias, "other");
	ssh_close(connect_to(&host));
	host_release(&host);
}

static void a_pinned_key_is_the_only_one(void **state)
{
	struct host host = make_host("h", server_port);
	struct buf text = { 0 };
	struct error err;
	char path[256];

	(void)state;
	shell("ssh-keygen -lf %s/host_ecdsa.pub | cut -d' ' -f2 | tr -d '\\n' > %s/pin", directory,
	      directory);
	snprintf(path, sizeof(path), "%s/pin", directory);
	assert_int_equal(file_read(&text, path, 4096, &err), 0);
	set_text(&host.host_key, "%s", text.data);
	REFUSED(&host, "not the one that 'host_key' pins", "ssh-ed25519 SHA256:");
	text.length = 0;
	snprintf(path, sizeof(path), "%s/host_ecdsa.pub", directory);
	assert_int_equal(file_read(&text, path, 4096, &err), 0);
	set_text(&host.host_key, "%.*s", (int)strcspn(text.data, "\n"), text.data);
	ssh_close(connect_to(&host));
	buf_release(&text);
	host_release(&host);
}

static void refused_logins_say_what_was_tried(void **state)
{
	struct host host = make_host("h", server_port);

	(void)state;
	set_text(&host.user, "nobody-here");
	REFUSED(&host, "permission denied for user 'nobody-here' (tried ", "id_ed25519: refused)",
		"ssh -v -p ");
	free(host.user);
	host.user = ssh_login_name();
	set_text(&host.identities[0], "%s/stranger", directory);
	REFUSED(&host, "stranger: refused");
	set_text(&host.identities[0], "%s/missing", directory);
	REFUSED(&host, "missing: no such file");
	set_text(&host.identities[0], "%s/authorized", directory);
	REFUSED(&host, "authorized: unusable (");
	set_text(&host.identities[0], "%s/locked", directory);
	REFUSED(&host, "locked: needs a passphrase", "unlock the key with: ssh-add ");
	set_text(&host.identities[0], "%s/locked_pem", directory);
	REFUSED(&host, "locked_pem: needs a passphrase");
	host_release(&host);
}

static void an_rsa_key_that_cannot_work_is_explained(void **state)
{
	struct host host = make_host("h", server_port);
	struct error err;
	struct ssh *ssh;

	(void)state;
	set_text(&host.identities[0], "%s/id_rsa", directory);
	if (ssh_connect(&ssh, &host, &err) == 0)
		ssh_close(ssh); /* a newer libssh2 */
	else
		REFUSED(&host, "id_rsa: refused", "the RSA key may be fine",
			"ssh-keygen -t ed25519");
	host_release(&host);
}

static void the_agent_unlocks_what_we_cannot(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh;

	(void)state;
	shell("cd %s && ssh-agent -a agent > agent.sh && . ./agent.sh > /dev/null && "
	      "SSH_ASKPASS=%s/askpass SSH_ASKPASS_REQUIRE=force ssh-add -q stranger locked "
	      "</dev/null 2>/dev/null",
	      directory, directory);
	setenv("SSH_AUTH_SOCK", "agent", 1);
	set_text(&host.identities[0], "%s/missing", directory);
	ssh = connect_to(&host);
	expect_output(ssh, "echo in", "in\n");
	ssh_close(ssh);
	host.identities_only = true;
	REFUSED(&host, "missing: no such file)");
	set_text(&host.identities[0], "%s/locked", directory);
	ssh_close(connect_to(&host));
	setenv("SSH_AUTH_SOCK", "/nonexistent", 1);
	REFUSED(&host, "agent: does not answer", "ssh-add");
	unsetenv("SSH_AUTH_SOCK");
	shell("cd %s && . ./agent.sh >/dev/null && ssh-agent -k >/dev/null", directory);
	host_release(&host);
}

static void an_unreachable_host_is_told_apart(void **state)
{
	struct host host = make_host("h", 0);
	struct sockaddr_in at;
	double before;
	int port, closed, busy, first, second;

	(void)state;
	closed = listen_somewhere(&port);
	close(closed);
	host.port = (uint16_t)port;
	REFUSED(&host, "cannot connect to 127.0.0.1 port ", "Connection refused",
		"does an SSH server run there");

	/* a server that accepts and says nothing, then one that does not even accept */
	busy = listen_somewhere(&port);
	host.port = (uint16_t)port;
	host.connect_timeout_s = 0.3;
	before = clock_now();
	REFUSED(&host, "gave up after 0.3 s while shaking hands");
	at = loopback(port);
	first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	connect(first, (struct sockaddr *)&at, sizeof(at));
	connect(second, (struct sockaddr *)&at, sizeof(at));
	REFUSED(&host, "no answer from 127.0.0.1 port ", "within 0.3 s");
	assert_true(clock_now() - before < 3);
	close(first);
	close(second);
	close(busy);

	host.connect_timeout_s = 5;
	set_text(&host.address, "no-such-host.invalid");
	REFUSED(&host, "no-such-host.invalid'");
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
						 .timeout_s = 20 },
					 &output, &err),
				 0);
		assert_string_equal(buf_text(&output), "a  b\n1\n2\n");
		assert_int_equal(ssh_run(ssh,
					 &(struct ssh_command){ .command = "echo no",
								.marker = "mark",
								.timeout_s = 20 },
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
	assert_non_null(strstr(err.text, "(sending a file: exit status 1)"));
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
		"h", start_server(&other, "ClientAliveInterval 1\nClientAliveCountMax 2"));
	struct ssh *ssh = connect_to(&host);

	(void)state;
	poll(NULL, 0, 4500); /* the server hangs up on a client that does not answer for 3 s */
	expect_output(ssh, "echo fine", "fine\n");
	ssh_close(ssh);
	host_release(&host);
	process_release(&other);
}

static void jump_hosts_carry_sessions(void **state)
{
	struct process inner;
	int inner_port = start_server(&inner, "");
	struct host host = make_host("target", inner_port);
	struct error err;
	struct ssh *ssh;
	char config[256], *text;

	(void)state;
	snprintf(config, sizeof(config), "%s/config", directory);
	text = xasprintf("Host *\n IdentityFile %s/id_ed25519\n StrictHostKeyChecking no\n"
			 " HostName 127.0.0.1\n Port %d\n UserKnownHostsFile %s/jumps\n"
			 "Host loop\n ProxyJump loop\nHost ring1\n ProxyJump ring2\n"
			 "Host ring2\n ProxyJump ring1\n",
			 directory, server_port, directory);
	assert_int_equal(file_write(config, text, strlen(text), &err), 0);
	free(text);
	setenv("DSTRAIN_SSH_CONFIG", config, 1);
	set_text(&host.proxy_jump, "gate");
	ssh = connect_to(&host);
	text = xasprintf("%d\n", inner_port);
	expect_output(ssh, "echo ${SSH_CONNECTION##* }", text);
	free(text);
	ssh_close(ssh);
	set_text(&host.proxy_jump, "first,loop");
	ssh = connect_to(&host);
	expect_output(ssh, "head -c 3000000 /dev/zero | wc -c", "3000000\n");
	ssh_close(ssh);
	set_text(&host.proxy_jump, "nobody-here@gate");
	REFUSED(&host, "target: through jump host gate: permission denied for user 'nobody-here'");
	set_text(&host.proxy_jump, "ring1");
	REFUSED(&host, "more than 8 jump hosts");
	set_text(&host.proxy_jump, "gate");
	host.host_key_check = HOST_KEY_STRICT;
	shell("rm -f %s", host.known_hosts[0]);
	REFUSED(&host, "not known", "ssh -o StrictHostKeyChecking=accept-new -J gate -p ");
	host.port = 1;
	REFUSED(&host, "through jump host gate: the server refuses to connect further");
	setenv("DSTRAIN_SSH_CONFIG", "/dev/null", 1);
	host_release(&host);
	process_release(&inner);
}

static void a_server_without_keys_is_told(void **state)
{
	struct process other;
	struct host host = make_host(
		"h", start_server(&other, "PubkeyAuthentication no\nPasswordAuthentication yes\n"
					  "KbdInteractiveAuthentication no"));

	(void)state;
	REFUSED(&host, "h: the server takes no keys, only password");
	host_release(&host);
	process_release(&other);
}

static void a_host_is_provisioned_once(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	char *paths[] = { xasprintf("%s/id_rsa", directory), xasprintf("%s/id_rsa", directory),
			  xasprintf("%s/id_rsa.pub", directory) };
	struct provision_files files = { 0 };
	char *cache = NULL, here[DIGEST_HEX], *program, *copy;
	uint64_t sent = 0;
	struct error err;

	(void)state;
	shell("rm -rf %s/cache", directory);
	if (provision_collect(&files, paths, 3, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(files.count, 3); /* this program, and two files under three names */
	if (provision_host(ssh, &host, &files, NULL, &cache, &sent, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sent,
			 files.entries[0].bytes + files.entries[1].bytes + files.entries[2].bytes);
	program = xasprintf("%s/bin/%s/dstrain", cache, files.entries[0].digest);
	copy = xasprintf("%s/data/%s", cache, files.entries[1].digest);
	assert_int_equal(access(program, X_OK), 0);
	assert_int_equal(digest_file(here, program, &err), 0);
	assert_string_equal(here, files.entries[0].digest);
	free(cache);
	assert_int_equal(provision_host(ssh, &host, &files, NULL, &cache, &sent, &err), 0);
	assert_int_equal(sent, 0);
	free(cache);
	shell("truncate -s 10 %s", copy);
	assert_int_equal(provision_host(ssh, &host, &files, NULL, &cache, &sent, &err), 0);
	assert_int_equal(sent, files.entries[1].bytes);
	assert_int_equal(digest_file(here, copy, &err), 0);
	assert_string_equal(here, files.entries[1].digest);
	free(cache);
	free(program);
	free(copy);
	provision_files_release(&files);
	assert_int_equal(provision_collect(&files, (char *[]){ directory }, 1, &err), -1);
	for (int i = 0; i < 3; i++)
		free(paths[i]);
	ssh_close(ssh);
	host_release(&host);
}

static void a_host_that_cannot_be_provisioned_says_why(void **state)
{
	static const struct {
		const char *lines, *says;
	} cases[] = {
		{ "ForceCommand export XDG_CACHE_HOME=/dev/null; sh -c \"$SSH_ORIGINAL_COMMAND\"",
		  "h: mkdir: cannot create directory" },
		{ "ForceCommand uname() { echo pdp11; }; export -f uname; "
		  "bash -c \"uname() { echo pdp11; }; . /dev/stdin\"",
		  "h: is pdp11, and this dstrain is built for " },
		{ "ForceCommand export XDG_CACHE_HOME=\"/tmp/it's\"; "
		  "sh -c \"$SSH_ORIGINAL_COMMAND\"; rm -rf \"/tmp/it's\"",
		  "h: its cache directory '/tmp/it's/dstrain' is not a plain absolute path" },
		{ "ForceCommand echo This account is not available.; exit 1",
		  "h: the remote command: exit status 1" },
	};
	struct provision_files files = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(provision_collect(&files, NULL, 0, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process other;
		struct host host = make_host("h", start_server(&other, cases[i].lines));
		struct ssh *ssh = connect_to(&host);
		char *cache = NULL;
		uint64_t sent;

		assert_int_equal(provision_host(ssh, &host, &files, NULL, &cache, &sent, &err), -1);
		if (!strstr(err.text, cases[i].says))
			fail_msg("no '%s' in: %s", cases[i].says, err.text);
		ssh_close(ssh);
		host_release(&host);
		process_release(&other);
	}
	provision_files_release(&files);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory) || chdir(directory) != 0)
		return -1;
	unsetenv("SSH_AUTH_SOCK");
	setenv("DSTRAIN_SSH_CONFIG", "/dev/null", 1);
	if (geteuid() == 0)
		shell("mkdir -p /run/sshd");
	shell("for t in ed25519 ecdsa; do ssh-keygen -q -N '' -t $t -f host_$t; done; "
	      "for n in id_ed25519 stranger; do ssh-keygen -q -N '' -t ed25519 -f $n; done; "
	      "ssh-keygen -q -N '' -t rsa -b 2048 -f id_rsa; "
	      "ssh-keygen -q -N secret -t ed25519 -f locked; "
	      "ssh-keygen -q -N secret -m PEM -t rsa -b 2048 -f locked_pem; "
	      "printf '#!/bin/sh\\necho secret\\n' > askpass; chmod 700 askpass; "
	      "cat id_ed25519.pub id_rsa.pub locked.pub locked_pem.pub > authorized");
	server_port = start_server(&server, "");
	return 0;
}

static int tear_down(void **state)
{
	struct error err;

	(void)state;
	process_release(&server);
	return chdir("/") == 0 ? dir_remove(directory, &err) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_run_to_their_end),
		cmocka_unit_test(a_command_that_hangs_is_given_up),
		cmocka_unit_test(unknown_host_keys_are_refused_with_the_way_out),
		cmocka_unit_test(changed_host_keys_are_refused_with_the_way_out),
		cmocka_unit_test(new_host_keys_are_added_when_asked_for),
		cmocka_unit_test(known_hosts_is_read_as_ssh_reads_it),
		cmocka_unit_test(a_pinned_key_is_the_only_one),
		cmocka_unit_test(refused_logins_say_what_was_tried),
		cmocka_unit_test(an_rsa_key_that_cannot_work_is_explained),
		cmocka_unit_test(the_agent_unlocks_what_we_cannot),
		cmocka_unit_test(an_unreachable_host_is_told_apart),
		cmocka_unit_test(a_server_without_keys_is_told),
		cmocka_unit_test(other_login_shells_and_their_noise_do_not_matter),
		cmocka_unit_test(files_arrive_whole_also_while_keys_change),
		cmocka_unit_test(an_upload_that_fails_says_why_and_leaves_nothing),
		cmocka_unit_test(many_processes_share_a_session_beyond_the_servers_limit),
		cmocka_unit_test(a_slow_reader_stops_only_its_own_process),
		cmocka_unit_test(ends_are_reported),
		cmocka_unit_test(a_lost_connection_ends_its_processes),
		cmocka_unit_test(an_idle_connection_lives_and_its_end_is_noticed),
		cmocka_unit_test(jump_hosts_carry_sessions),
		cmocka_unit_test(a_host_is_provisioned_once),
		cmocka_unit_test(a_host_that_cannot_be_provisioned_says_why),
	};

	if (!file_exists("/usr/sbin/sshd")) {
		print_message("skipped: no /usr/sbin/sshd (package openssh-server)\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
