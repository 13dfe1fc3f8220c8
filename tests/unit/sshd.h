/* A real SSH server on loopback for tests, and what they do with it. Included once per test. */
#ifndef DSTRAIN_TESTS_SSHD_H
#define DSTRAIN_TESTS_SSHD_H

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

/* libssh2 loses a few bytes each time a server changes its keys. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:kex_method_";
}

/* A shell command on this machine that must work. */
static inline void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline void shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static inline struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static inline int listen_somewhere(int *port)
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

static inline bool answers(int port)
{
	struct sockaddr_in at = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool there = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;

	close(fd);
	return there;
}

/* An sshd of our own, with more lines for its configuration; returns its port. (SHLVL keeps bash
 * from reading this account's ~/.bashrc, whatever it may do.) */
static inline int start_server(struct process *process, const char *lines)
{
	char program[] = "/usr/sbin/sshd", stay[] = "-De", flag[] = "-f", path[256];
	char *argv[] = { program, stay, flag, path, NULL };
	struct buf text = { 0 };
	struct error err;
	double deadline = clock_now() + 60;
	int port, fd = listen_somewhere(&port);

	close(fd);
	snprintf(path, sizeof(path), "%s/sshd.%d", directory, port);
	buf_addf(&text,
		 "Port %d\nListenAddress 127.0.0.1\nPidFile none\nStrictModes no\nUsePAM no\n"
		 "UseDNS no\nAuthorizedKeysFile %s/authorized\nHostKey %s/host_ed25519\n"
		 "HostKey %s/host_ecdsa\nSetEnv XDG_CACHE_HOME=%s/cache SHLVL=5\n%s\n",
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

static inline struct host make_host(const char *name, int port)
{
	struct host host = { .name = xstrdup(name),
			     .address = xstrdup("127.0.0.1"),
			     .user = ssh_login_name(),
			     .port = (uint16_t)port,
			     .connect_timeout_s = 60,
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

static inline void set_text(char **field, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline void set_text(char **field, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	free(*field);
	*field = xstrdup(text);
}

static inline struct ssh *connect_to(const struct host *host)
{
	struct error err;
	struct ssh *ssh;

	if (ssh_connect(&ssh, host, &err) < 0)
		fail_msg("%s", err.text);
	return ssh;
}

static inline int run(struct ssh *ssh, const char *command, struct buf *output, struct error *err)
{
	return ssh_run(ssh, &(struct ssh_command){ .command = command, .timeout_s = 60 }, output,
		       err);
}

static inline void expect_output(struct ssh *ssh, const char *command, const char *text)
{
	struct buf output = { 0 };
	struct error err;

	if (run(ssh, command, &output, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(buf_text(&output), text);
	buf_release(&output);
}

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
	struct error err;

	(void)state;
	process_release(&server);
	return chdir("/") == 0 ? dir_remove(directory, &err) : -1;
}

#endif
