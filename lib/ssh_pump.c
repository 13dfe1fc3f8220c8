/*
 * The thread that alone uses a session once it is connected: it moves bytes between the session's
 * channels and local sockets, so that everybody else only polls descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/ssh.h"
#include "lib/ssh_channel.h"
#include "lib/ssh_session.h"

static void wake_pump(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Closed without a word: whoever holds the other end sees the end of file. */
static struct ssh_channel *ssh_channel_new(struct ssh *ssh, enum ssh_channel_kind kind,
					   const char *target)
{
	struct ssh_channel *channel = xcalloc(1, sizeof(*channel));

	channel->kind = kind;
	channel->target = xstrdup(target);
	channel->ssh = ssh;
	channel->in.fd = channel->out.fd = channel->err.fd = -1;
	channel->in.pending.secret = true;
	channel->wake = fcntl(ssh->wake, F_DUPFD_CLOEXEC, 3);
	channel->owners = 1;
	pthread_mutex_init(&channel->lock, NULL);
	clock_cond_init(&channel->changed);
	return channel;
}

static bool take_arrivals(struct ssh *ssh)
{
	bool closing;

	pthread_mutex_lock(&ssh->lock);
	closing = ssh->closing;
	while (ssh->arrivals) {
		struct ssh_channel *channel = ssh->arrivals;

		ssh->arrivals = channel->next;
		channel->next = ssh->channels;
		ssh->channels = channel;
	}
	pthread_mutex_unlock(&ssh->lock);
	return !closing;
}

static void lose(struct ssh *ssh, const char *reason)
{
	if (!ssh->lost[0])
		snprintf(ssh->lost, sizeof(ssh->lost), "%s", reason);
}

/* Without a channel libssh2 reads nothing. If the server says something then (it may only ask
 * whether we live), an idle channel makes it read; if it hung up, that must be noticed. */
static void attend_server(struct ssh *ssh)
{
	char byte;
	ssize_t got = recv(ssh->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (got > 0)
		ssh->channels = ssh_channel_new(ssh, SSH_CHANNEL_IDLE, "");
	else if (got == 0)
		lose(ssh, "closed by the other side");
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		lose(ssh, strerror(errno));
}

/* Every channel gets its turn; but libssh2 opens only one at a time. */
static void step_all(struct ssh *ssh)
{
	struct ssh_channel **link = &ssh->channels;
	bool opening = false;

	if (!ssh->channels)
		attend_server(ssh);
	while (*link && !ssh->lost[0]) {
		struct ssh_channel *channel = *link;
		bool wait = channel->state == SSH_CHANNEL_OPENING && opening;

		opening |= channel->state == SSH_CHANNEL_OPENING;
		if (!wait && ssh_channel_step(channel) < 0)
			lose(ssh, ssh_reason(ssh));
		if (channel->state == SSH_CHANNEL_ENDED) {
			*link = channel->next;
			ssh_channel_drop(channel);
		} else {
			link = &channel->next;
		}
	}
}

static void poll_for(struct ssh *ssh, size_t *count, int fd, short events)
{
	if (*count == ssh->poll_room) {
		ssh->poll_room = ssh->poll_room ? ssh->poll_room * 2 : 16;
		ssh->polls = xrealloc(ssh->polls, ssh->poll_room, sizeof(*ssh->polls));
	}
	ssh->polls[(*count)++] = (struct pollfd){ .fd = fd, .events = events };
}

static void poll_streams(struct ssh *ssh, size_t *count, struct ssh_channel *channel)
{
	struct ssh_stream *in = &channel->in;

	if (!in->ended && in->pending.length == 0)
		poll_for(ssh, count, in->fd, POLLIN);
	if (channel->out.pending.length && channel->out.fd >= 0)
		poll_for(ssh, count, channel->out.fd, POLLOUT);
	if (channel->err.pending.length && channel->err.fd >= 0)
		poll_for(ssh, count, channel->err.fd, POLLOUT);
}

static void await_work(struct ssh *ssh)
{
	size_t count = 0;
	uint64_t drained;

	/* The server is listened to only if libssh2 would read: what local ends do not take must
	 * not keep us spinning. */
	short events = ssh->waits || !ssh->channels ? POLLIN : 0;

	if (ssh->outgoing.length)
		events |= POLLOUT;
	poll_for(ssh, &count, ssh->wake, POLLIN);
	poll_for(ssh, &count, events ? ssh->fd : -1, events);
	for (struct ssh_channel *channel = ssh->channels; channel; channel = channel->next)
		if (channel->state == SSH_CHANNEL_RUNNING)
			poll_streams(ssh, &count, channel);
	poll(ssh->polls, count, ssh->progress ? 0 : -1);
	if (ssh->polls[0].revents && read(ssh->wake, &drained, sizeof(drained)) < 0)
		return;
}

static void end_all(struct ssh *ssh)
{
	struct process_status status = { 0 };

	pthread_mutex_lock(&ssh->lock);
	ssh->stopped = true;
	pthread_mutex_unlock(&ssh->lock);
	take_arrivals(ssh);
	if (ssh->lost[0])
		snprintf(status.reason, sizeof(status.reason), "connection to '%s' lost: %s",
			 ssh->host->name, ssh->lost);
	else
		snprintf(status.reason, sizeof(status.reason), "connection to '%s' closed",
			 ssh->host->name);
	while (ssh->channels) {
		struct ssh_channel *channel = ssh->channels;

		ssh->channels = channel->next;
		ssh_channel_end(channel, &status);
		ssh_channel_drop(channel);
	}
}

static void *pump(void *arg)
{
	struct ssh *ssh = arg;

	while (take_arrivals(ssh)) {
		ssh->progress = ssh->waits = false;
		step_all(ssh);
		ssh_flush(ssh);
		if (ssh->lost[0])
			break;
		await_work(ssh);
	}
	end_all(ssh);
	return NULL;
}

int ssh_pump_start(struct ssh *ssh, struct error *err)
{
	sigset_t all, before;

	ssh->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ssh->wake < 0)
		return error_set(err, "cannot make an eventfd: %s", strerror(errno));
	sigfillset(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ssh->pumping = pthread_create(&ssh->thread, NULL, pump, ssh) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ssh->pumping ? 0 : error_set(err, "cannot start a thread");
}

void ssh_pump_stop(struct ssh *ssh)
{
	if (ssh->pumping) {
		pthread_mutex_lock(&ssh->lock);
		ssh->closing = true;
		pthread_mutex_unlock(&ssh->lock);
		wake_pump(ssh->wake);
		pthread_join(ssh->thread, NULL);
	}
	file_close(&ssh->wake);
}

/* Waits until it ended; true if it did before the wait did. */
static bool await_end(struct ssh_channel *channel, struct ssh_wait until, bool start_is_enough)
{
	bool reached;

	pthread_mutex_lock(&channel->lock);
	while (!channel->ended && !(start_is_enough && channel->started) &&
	       clock_now() < until.deadline && !ssh_is_stopped(until)) {
		/* Also within what a timespec holds. */
		double last = clock_now() + (until.stop ? SSH_GLANCE_S : 1e6);
		struct timespec at = clock_timespec(until.deadline < last ? until.deadline : last);

		pthread_cond_timedwait(&channel->changed, &channel->lock, &at);
	}
	reached = channel->ended || (start_is_enough && channel->started);
	pthread_mutex_unlock(&channel->lock);
	return reached;
}

static int remote_wait(void *state, double deadline, struct process_status *status)
{
	struct ssh_channel *channel = state;

	if (!await_end(channel, (struct ssh_wait){ .deadline = deadline }, false))
		return 0;
	*status = channel->status;
	return 1;
}

static void order(struct ssh_channel *channel, bool no_input, bool unwanted)
{
	pthread_mutex_lock(&channel->lock);
	channel->no_input |= no_input;
	channel->unwanted |= unwanted;
	pthread_mutex_unlock(&channel->lock);
	wake_pump(channel->wake);
}

static void remote_kill(void *state, int signal)
{
	order(state, true, signal == SIGKILL);
}

static void remote_release(void *state)
{
	order(state, true, true);
	ssh_channel_drop(state);
}

static const struct process_ops remote_ops = {
	.wait = remote_wait,
	.kill = remote_kill,
	.release = remote_release,
};

static int make_pair(int *ours, int *theirs, struct error *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return error_set(err, "cannot make a socket pair: %s", strerror(errno));
	*ours = pair[0];
	*theirs = pair[1];
	return 0;
}

/* Hands it to the pump, and waits until it runs. -1 with *refused: the server does not want more
 * channels. The caller keeps its own reference in any case. */
static int launch(struct ssh_channel *channel, struct ssh_wait until, bool *refused,
		  struct error *err)
{
	struct ssh *ssh = channel->ssh;
	int status = 0;

	channel->owners = 2;
	pthread_mutex_lock(&ssh->lock);
	if (ssh->stopped) {
		status = error_set(err, "connection lost: %s", ssh->lost);
		channel->owners = 1;
	} else {
		channel->next = ssh->arrivals;
		ssh->arrivals = channel;
	}
	pthread_mutex_unlock(&ssh->lock);
	if (status < 0) {
		ssh_channel_end(channel, &(struct process_status){ 0 });
		return -1;
	}
	wake_pump(ssh->wake);
	if (!await_end(channel, until, true))
		return error_set(err, ssh_is_stopped(until)
					      ? "interrupted"
					      : "the server does not start the command in time");
	pthread_mutex_lock(&channel->lock);
	*refused = channel->refused;
	if (channel->ended && !channel->started)
		status = error_set(err, "%s", channel->status.reason);
	pthread_mutex_unlock(&channel->lock);
	return status;
}

static int start_here(struct ssh *ssh, const char *command, struct ssh_wait until,
		      struct process *out, bool *refused, struct error *err)
{
	struct ssh_channel *channel = ssh_channel_new(ssh, SSH_CHANNEL_COMMAND, command);
	int status;

	*out = (struct process){ -1, -1, -1, &remote_ops, channel };
	if (make_pair(&out->in, &channel->in.fd, err) < 0 ||
	    make_pair(&out->out, &channel->out.fd, err) < 0 ||
	    make_pair(&out->err, &channel->err.fd, err) < 0) {
		ssh_channel_end(channel, &(struct process_status){ 0 });
		status = -1;
	} else {
		status = launch(channel, until, refused, err);
	}
	if (status < 0)
		process_release(out);
	return status;
}

/* A server opens a limited number of channels per connection (MaxSessions, usually 10). */
static int start_beside(struct ssh *ssh, const char *command, struct ssh_wait until,
			struct process *out, struct error *err)
{
	struct ssh *sibling;

	pthread_mutex_lock(&ssh->lock);
	sibling = ssh->sibling;
	pthread_mutex_unlock(&ssh->lock);
	if (!sibling) {
		if (ssh_connect(&sibling, ssh->host, err) < 0)
			return -1;
		pthread_mutex_lock(&ssh->lock);
		ssh->sibling = sibling;
		pthread_mutex_unlock(&ssh->lock);
	}
	return ssh_start_by(sibling, command, until, out, err);
}

int ssh_start_by(struct ssh *ssh, const char *command, struct ssh_wait until, struct process *out,
		 struct error *err)
{
	char *wrapped = xasprintf("exec /bin/sh -c '%s'", command);
	bool refused = false;
	int status;

	if (strpbrk(command, "'!\\\n"))
		status = error_set(err,
				   "a remote command must do without ', !, \\ and line ends: "
				   "%s",
				   command);
	else
		status = start_here(ssh, wrapped, until, out, &refused, err);
	if (status < 0)
		error_prefix(err, "%s", ssh->host->name);
	free(wrapped);
	if (status < 0 && refused)
		return start_beside(ssh, command, until, out, err);
	return status;
}

int ssh_start(struct ssh *ssh, const char *command, struct process *out, struct error *err)
{
	struct ssh_wait until = { clock_now() + ssh->host->connect_timeout_s, ssh->until.stop };

	return ssh_start_by(ssh, command, until, out, err);
}

int ssh_tunnel(struct ssh *ssh, const struct host *to, struct ssh_wait until, int *fd,
	       struct error *err)
{
	struct ssh_channel *channel = ssh_channel_new(ssh, SSH_CHANNEL_TUNNEL, to->address);
	bool refused = false;
	int status;

	channel->port = to->port;
	channel->err.ended = true;
	if (make_pair(fd, &channel->in.fd, err) < 0) {
		ssh_channel_drop(channel);
		return -1;
	}
	channel->out.fd = fcntl(channel->in.fd, F_DUPFD_CLOEXEC, 3);
	status = launch(channel, until, &refused, err);
	if (status < 0) {
		file_close(fd);
		order(channel, true, true);
	}
	ssh_channel_drop(channel);
	return status;
}
