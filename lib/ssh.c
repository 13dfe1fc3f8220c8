/* One SSH session to a host (libssh2): connecting and closing. */
#include "lib/ssh.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libssh2.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/ssh_session.h"

enum { JUMPS = 8 };

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_start(void)
{
	libssh2_init(0);
}

void ssh_flush(struct ssh *ssh)
{
	while (ssh->outgoing.length && !ssh->lost[0]) {
		ssize_t sent = send(ssh->fd, ssh->outgoing.data, ssh->outgoing.length,
				    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent >= 0) {
			buf_consume(&ssh->outgoing, (size_t)sent);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (errno != EINTR) {
			snprintf(ssh->lost, sizeof(ssh->lost), "%s", strerror(errno));
		}
	}
}

/* libssh2 talks to the agent through our callbacks too, and expects that to block; the agent may be
 * asking its user, so there is a deadline. */
static ssize_t ask_agent(const struct ssh *ssh, int fd, void *in, const void *out, size_t length)
{
	struct pollfd ready = { .fd = fd, .events = in ? POLLIN : POLLOUT };
	ssize_t moved;

	if (poll(&ready, 1, clock_poll_ms(ssh->until.deadline)) <= 0)
		return -ETIMEDOUT;
	moved = in ? recv(fd, in, length, 0) : send(fd, out, length, MSG_NOSIGNAL);
	return moved < 0 ? -errno : moved > 0 ? moved : -ECONNRESET;
}

/* libssh2 calls these two in place of send and recv. */
static ssize_t put(libssh2_socket_t fd, const void *bytes, size_t length, int flags,
		   void **abstract)
{
	struct ssh *ssh = *abstract;

	(void)flags;
	if (fd != ssh->fd)
		return ask_agent(ssh, fd, NULL, bytes, length);
	if (ssh->lost[0])
		return -EPIPE;
	buf_add(&ssh->outgoing, bytes, length);
	ssh_flush(ssh);
	return (ssize_t)length;
}

static ssize_t get(libssh2_socket_t fd, void *bytes, size_t length, int flags, void **abstract)
{
	struct ssh *ssh = *abstract;
	ssize_t got;

	(void)flags;
	if (fd != ssh->fd)
		return ask_agent(ssh, fd, bytes, NULL, length);
	if (ssh->lost[0])
		return -ECONNRESET;
	do
		got = recv(fd, bytes, length, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		/* Whatever call of libssh2 this is, the bytes may be another channel's. */
		ssh->progress = true;
		return got;
	}
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return -EAGAIN;
	snprintf(ssh->lost, sizeof(ssh->lost), "%s",
		 got == 0 ? "closed by the other side" : strerror(errno));
	return got == 0 ? 0 : -ECONNRESET;
}

const char *ssh_reason(struct ssh *ssh)
{
	char *text = NULL;

	if (ssh->lost[0])
		return ssh->lost;
	libssh2_session_last_error(ssh->session, &text, NULL, 0);
	return text && text[0] ? text : "unknown reason";
}

int ssh_await(struct pollfd *one, struct ssh_wait until)
{
	int ready;

	do {
		double glance = clock_now() + SSH_GLANCE_S;

		ready = poll(one, 1,
			     clock_poll_ms(until.stop && glance < until.deadline ? glance
										 : until.deadline));
	} while (ready <= 0 && clock_now() < until.deadline && !ssh_is_stopped(until));
	return ready > 0;
}

int ssh_settle(struct ssh *ssh, const char *what, struct error *err)
{
	struct pollfd ready = { .fd = ssh->fd, .events = POLLIN };

	ssh_flush(ssh);
	if (ssh->lost[0])
		return error_set(err, "connection %s while %s", ssh->lost, what);
	if (ssh->outgoing.length)
		ready.events |= POLLOUT;
	if (ssh_is_stopped(ssh->until))
		return error_set(err, "interrupted");
	if (clock_now() >= ssh->until.deadline)
		return error_set(err, "gave up after %g s while %s", ssh->host->connect_timeout_s,
				 what);
	ssh_await(&ready, ssh->until);
	return 0;
}

static void set_callback(LIBSSH2_SESSION *session, int which, void (*function)(void))
{
	void *pointer;

	memcpy(&pointer, &function, sizeof(pointer)); /* ISO C has no cast for this */
	libssh2_session_callback_set(session, which, pointer);
}

static int shake_hands(struct ssh *ssh, struct error *err)
{
	int rc;

	ssh->session = libssh2_session_init_ex(NULL, NULL, NULL, ssh);
	if (!ssh->session)
		return error_set(err, "out of memory");
	libssh2_session_set_blocking(ssh->session, 0);
	set_callback(ssh->session, LIBSSH2_CALLBACK_SEND, (void (*)(void))put);
	set_callback(ssh->session, LIBSSH2_CALLBACK_RECV, (void (*)(void))get);
	ssh_prefer_known_keys(ssh);
	while ((rc = libssh2_session_handshake(ssh->session, ssh->fd)) == LIBSSH2_ERROR_EAGAIN)
		if (ssh_settle(ssh, "shaking hands", err) < 0)
			return -1;
	if (rc == 0)
		return 0;
	if (ssh->lost[0])
		return error_set(err,
				 "%s while shaking hands; is that an SSH server, and does it not "
				 "limit connections (MaxStartups)?",
				 ssh->lost);
	return error_set(err, "cannot agree with the server at %s port %u: %s", ssh->host->address,
			 (unsigned)ssh->host->port, ssh_reason(ssh));
}

static int session_open(struct ssh **out, const struct host *host, struct ssh_wait until, int depth,
			struct error *err);

/* "a,b" means through a to b and through b to us: b is our jump host, a is b's. */
static int jump_open(struct ssh *ssh, int depth, struct error *err)
{
	const char *jumps = ssh->host->proxy_jump, *comma = strrchr(jumps, ',');
	struct host *jump = &ssh->jump_host;

	if (depth == JUMPS)
		return error_set(err, "more than %d jump hosts; is one its own?", JUMPS);
	if (host_target(jump, comma ? comma + 1 : jumps, err) < 0)
		return error_prefix(err, "proxy_jump");
	if (comma) {
		free(jump->proxy_jump);
		jump->proxy_jump = xstrndup(jumps, (size_t)(comma - jumps));
	}
	if (session_open(&ssh->jump, jump, ssh->until, depth + 1, err) < 0 ||
	    ssh_tunnel(ssh->jump, ssh->host, ssh->until, &ssh->fd, err) < 0)
		return error_prefix(err, "through jump host %s", jump->name);
	return 0;
}

/* A jump host may itself match the lines that told to jump. */
static bool jumps_to_itself(const struct host *host)
{
	const char *last = strrchr(host->proxy_jump, ',');
	const char *at;

	last = last ? last + 1 : host->proxy_jump;
	at = strrchr(last, '@');
	last = at ? at + 1 : last;
	return strncmp(last, host->name, strlen(host->name)) == 0 &&
	       strchr(":", last[strlen(host->name)]);
}

static int session_open(struct ssh **out, const struct host *host, struct ssh_wait until, int depth,
			struct error *err)
{
	struct ssh *ssh = xcalloc(1, sizeof(*ssh));
	int status = 0;

	pthread_mutex_init(&ssh->lock, NULL);
	ssh->host = host;
	ssh->until = until;
	ssh->fd = ssh->wake = -1;
	if (host->proxy_jump && !jumps_to_itself(host))
		status = jump_open(ssh, depth, err);
	else
		status = (ssh->fd = ssh_dial(host, until, err)) < 0 ? -1 : 0;
	if (status < 0 || shake_hands(ssh, err) < 0 || ssh_check_host_key(ssh, err) < 0 ||
	    ssh_log_in(ssh, err) < 0 || ssh_pump_start(ssh, err) < 0) {
		ssh_close(ssh);
		return -1;
	}
	*out = ssh;
	return 0;
}

int ssh_connect_unless(struct ssh **out, const struct host *host, const volatile int *stop,
		       struct error *err)
{
	struct ssh_wait until = { clock_now() + host->connect_timeout_s, stop };

	pthread_once(&library_once, library_start);
	if (session_open(out, host, until, 0, err) < 0)
		return error_prefix(err, "%s", host->name);
	return 0;
}

int ssh_connect(struct ssh **out, const struct host *host, struct error *err)
{
	return ssh_connect_unless(out, host, NULL, err);
}

void ssh_close(struct ssh *ssh)
{
	if (!ssh)
		return;
	ssh_close(ssh->sibling);
	ssh_pump_stop(ssh);
	if (ssh->session) {
		if (!ssh->lost[0])
			libssh2_session_disconnect(ssh->session, "done");
		/* From here on libssh2 must not wait for the server's answers. */
		snprintf(ssh->lost, sizeof(ssh->lost), "closed");
		while (libssh2_session_free(ssh->session) == LIBSSH2_ERROR_EAGAIN)
			;
	}
	file_close(&ssh->fd);
	ssh_close(ssh->jump);
	host_release(&ssh->jump_host);
	buf_release(&ssh->outgoing);
	pthread_mutex_destroy(&ssh->lock);
	free(ssh->polls);
	free(ssh);
}
