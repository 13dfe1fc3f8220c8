/* A command or tunnel within an SSH session, advanced a step at a time by the session's pump. */
#include "lib/ssh_channel.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libssh2.h>

#include "lib/file.h"
#include "lib/memory.h"
#include "lib/ssh_session.h"

enum {
	PIECE_BYTES = 32768,
	OUTGOING_BYTES = 256 << 10, /* more than this waits in the local sockets */
	ROUND_PIECES = 16,	    /* then the other channels' turn comes */
};

static void close_stream(struct ssh_stream *stream)
{
	file_close(&stream->fd);
	stream->ended = true;
	buf_release(&stream->pending);
}

void ssh_channel_drop(struct ssh_channel *channel)
{
	bool last;

	pthread_mutex_lock(&channel->lock);
	last = --channel->owners == 0;
	pthread_mutex_unlock(&channel->lock);
	if (!last)
		return;
	close(channel->wake);
	pthread_cond_destroy(&channel->changed);
	pthread_mutex_destroy(&channel->lock);
	free(channel->target);
	free(channel);
}

void ssh_channel_end(struct ssh_channel *channel, const struct process_status *status)
{
	close_stream(&channel->in);
	close_stream(&channel->out);
	close_stream(&channel->err);
	channel->state = SSH_CHANNEL_ENDED;
	pthread_mutex_lock(&channel->lock);
	channel->ended = true;
	channel->status = *status;
	pthread_cond_broadcast(&channel->changed);
	pthread_mutex_unlock(&channel->lock);
}

/* What a failed libssh2 call means: 0 if it is only to be repeated later. */
static int later(struct ssh_channel *channel, int rc)
{
	if (rc != LIBSSH2_ERROR_EAGAIN)
		return -1;
	channel->ssh->waits = true;
	return 0;
}

/* Only a server that has opened some channels before may have run out of them. */
static bool has_neighbours(const struct ssh_channel *channel)
{
	for (const struct ssh_channel *other = channel->ssh->channels; other; other = other->next)
		if (other != channel && other->state == SSH_CHANNEL_RUNNING)
			return true;
	return false;
}

static int refuse(struct ssh_channel *channel, const char *what)
{
	struct process_status status = { 0 };

	snprintf(status.reason, sizeof(status.reason), "the server refuses %s: %s", what,
		 ssh_reason(channel->ssh));
	pthread_mutex_lock(&channel->lock);
	channel->refused = channel->kind == SSH_CHANNEL_COMMAND && has_neighbours(channel);
	pthread_mutex_unlock(&channel->lock);
	ssh_channel_end(channel, &status);
	return 0;
}

static int step_open(struct ssh_channel *channel)
{
	LIBSSH2_SESSION *session = channel->ssh->session;
	int rc;

	if (channel->kind == SSH_CHANNEL_TUNNEL)
		channel->remote = libssh2_channel_direct_tcpip_ex(session, channel->target,
								  channel->port, "127.0.0.1", 0);
	else
		channel->remote = libssh2_channel_open_session(session);
	rc = channel->remote ? 0 : libssh2_session_last_errno(session);
	if (rc == LIBSSH2_ERROR_CHANNEL_FAILURE)
		return refuse(channel, channel->kind == SSH_CHANNEL_TUNNEL ? "to connect further"
									   : "to open a channel");
	if (rc < 0)
		return later(channel, rc);
	channel->state =
		channel->kind == SSH_CHANNEL_COMMAND ? SSH_CHANNEL_STARTING : SSH_CHANNEL_RUNNING;
	channel->ssh->progress = true;
	return 0;
}

static int step_start(struct ssh_channel *channel)
{
	int rc = libssh2_channel_process_startup(channel->remote, "exec", 4, channel->target,
						 (unsigned)strlen(channel->target));

	if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED || rc == LIBSSH2_ERROR_CHANNEL_FAILURE)
		return refuse(channel, "to run a command");
	if (rc < 0)
		return later(channel, rc);
	channel->state = SSH_CHANNEL_RUNNING;
	channel->ssh->progress = true;
	return 0;
}

/* From the local end, if the last piece is gone. */
static void fill(struct ssh_stream *in)
{
	ssize_t got;

	if (in->ended || in->pending.length)
		return;
	got = recv(in->fd, buf_reserve(&in->pending, PIECE_BYTES), PIECE_BYTES, MSG_DONTWAIT);
	if (got > 0)
		in->pending.length = (size_t)got;
	else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		in->ended = true;
}

static int send_end(struct ssh_channel *channel)
{
	int rc = libssh2_channel_send_eof(channel->remote);

	if (rc == LIBSSH2_ERROR_EAGAIN)
		return later(channel, rc);
	channel->end_sent = true;
	return 0;
}

/* Local to remote, as far as the server's window and our own queue allow. */
static int push(struct ssh_channel *channel)
{
	struct ssh_stream *in = &channel->in;

	for (int piece = 0; piece < ROUND_PIECES; piece++) {
		ssize_t wrote;

		fill(in);
		if (in->pending.length == 0)
			break;
		if (channel->ssh->outgoing.length > OUTGOING_BYTES)
			return 0;
		wrote = libssh2_channel_write(channel->remote, in->pending.data,
					      in->pending.length);
		if (wrote == LIBSSH2_ERROR_CHANNEL_CLOSED ||
		    wrote == LIBSSH2_ERROR_CHANNEL_EOF_SENT) {
			close_stream(in);
			return 0;
		}
		if (wrote <= 0)
			return later(channel, wrote < 0 ? (int)wrote : LIBSSH2_ERROR_EAGAIN);
		buf_consume(&in->pending, (size_t)wrote);
		channel->ssh->progress = true;
	}
	if (in->ended && in->pending.length == 0 && !channel->end_sent)
		return send_end(channel);
	return 0;
}

/* To the local end; false if it takes no more now. Where nobody listens, bytes are dropped. */
static bool drain(struct ssh_channel *channel, struct ssh_stream *out)
{
	while (out->pending.length) {
		ssize_t sent = out->fd < 0 ? (ssize_t)out->pending.length
					   : send(out->fd, out->pending.data, out->pending.length,
						  MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return false;
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			file_close(&out->fd);
			continue;
		}
		buf_consume(&out->pending, (size_t)sent);
		channel->ssh->progress = true;
	}
	return true;
}

/* Remote to local. What the local end does not take stays with the server: its window closes. */
static int pull(struct ssh_channel *channel, struct ssh_stream *out, int id)
{
	for (int piece = 0; piece < ROUND_PIECES && !out->ended; piece++) {
		ssize_t got;

		if (!drain(channel, out))
			return 0;
		got = libssh2_channel_read_ex(channel->remote, id,
					      buf_reserve(&out->pending, PIECE_BYTES), PIECE_BYTES);
		if (got < 0)
			return later(channel, (int)got);
		if (got == 0) {
			if (libssh2_channel_eof(channel->remote))
				close_stream(out);
			return 0;
		}
		out->pending.length = (size_t)got;
		channel->ssh->progress = true;
	}
	return 0;
}

static bool is_over(struct ssh_channel *channel)
{
	if (channel->kind == SSH_CHANNEL_TUNNEL)
		return channel->out.ended || channel->in.ended;
	return channel->out.ended && channel->err.ended;
}

static int step_run(struct ssh_channel *channel)
{
	int rc;

	if (channel->kind != SSH_CHANNEL_IDLE && push(channel) < 0)
		return -1;
	if (pull(channel, &channel->out, 0) < 0)
		return -1;
	if (channel->kind == SSH_CHANNEL_COMMAND &&
	    pull(channel, &channel->err, SSH_EXTENDED_DATA_STDERR) < 0)
		return -1;
	if (!is_over(channel))
		return 0;
	/* A program may close its streams and go on: only the server knows when it has ended. */
	if (channel->kind == SSH_CHANNEL_COMMAND) {
		rc = libssh2_channel_wait_closed(channel->remote);
		if (rc < 0)
			return later(channel, rc);
	}
	channel->state = SSH_CHANNEL_CLOSING;
	channel->ssh->progress = true;
	return 0;
}

static int signal_number(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} signals[] = {
		{ "ABRT", SIGABRT }, { "ALRM", SIGALRM }, { "BUS", SIGBUS },   { "FPE", SIGFPE },
		{ "HUP", SIGHUP },   { "ILL", SIGILL },	  { "INT", SIGINT },   { "KILL", SIGKILL },
		{ "PIPE", SIGPIPE }, { "QUIT", SIGQUIT }, { "SEGV", SIGSEGV }, { "TERM", SIGTERM },
		{ "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "XCPU", SIGXCPU },
	};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (strcmp(name, signals[i].name) == 0)
			return signals[i].number;
	return 0;
}

static struct process_status exit_status(struct ssh_channel *channel)
{
	struct process_status status = { 0 };
	char *name = NULL;

	libssh2_channel_get_exit_signal(channel->remote, &name, NULL, NULL, NULL, NULL, NULL);
	if (name) {
		status.signal = signal_number(name);
		if (status.signal == 0)
			snprintf(status.reason, sizeof(status.reason), "killed by signal %s", name);
		libssh2_free(channel->ssh->session, name);
	} else {
		status.exited = true;
		status.code = libssh2_channel_get_exit_status(channel->remote);
	}
	return status;
}

static int step_close(struct ssh_channel *channel)
{
	struct process_status status;
	int rc = libssh2_channel_close(channel->remote);

	if (rc == LIBSSH2_ERROR_EAGAIN)
		return later(channel, rc);
	status = exit_status(channel);
	if (channel->cut && status.exited && status.code == 0)
		status = (struct process_status){ .signal = SIGKILL }; /* no status came */
	libssh2_channel_free(channel->remote);
	ssh_channel_end(channel, &status);
	channel->ssh->progress = true;
	return 0;
}

/* What those outside ask for: end of input, or the end. */
static void take_orders(struct ssh_channel *channel)
{
	bool no_input, unwanted;

	pthread_mutex_lock(&channel->lock);
	no_input = channel->no_input;
	unwanted = channel->unwanted;
	if (channel->state == SSH_CHANNEL_RUNNING && !channel->started) {
		channel->started = true;
		pthread_cond_broadcast(&channel->changed);
	}
	pthread_mutex_unlock(&channel->lock);
	if (no_input && channel->state == SSH_CHANNEL_RUNNING)
		close_stream(&channel->in);
	if (unwanted && channel->state > SSH_CHANNEL_OPENING &&
	    channel->state < SSH_CHANNEL_CLOSING) {
		close_stream(&channel->in);
		close_stream(&channel->out);
		close_stream(&channel->err);
		channel->cut = true;
		channel->state = SSH_CHANNEL_CLOSING;
	}
}

int ssh_channel_step(struct ssh_channel *channel)
{
	take_orders(channel);
	switch (channel->state) {
	case SSH_CHANNEL_OPENING: return step_open(channel);
	case SSH_CHANNEL_STARTING: return step_start(channel);
	case SSH_CHANNEL_RUNNING: return step_run(channel);
	case SSH_CHANNEL_CLOSING: return step_close(channel);
	case SSH_CHANNEL_ENDED: break;
	}
	return 0;
}
