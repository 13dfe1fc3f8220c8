/* The bytes of one connection, in both directions: through TLS, or plain after an authenticated
 * beginning, or past the connection through memory. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "runtime/transport/stream.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/sock.h"
#include "runtime/transport/tls.h"

enum { RECORD = 16 << 10 }; /* the most that one TLS record holds */

void stream_init(struct stream *stream, int fd)
{
	*stream = (struct stream){ .fd = fd };
}

int stream_begin_tls(struct stream *stream, struct tls_setup *setup, bool dials, struct error *err)
{
	stream->tls = tls_new(setup, stream->fd, dials, err);
	if (!stream->tls)
		return -1;
	stream->staged = xmalloc(RECORD);
	return 0;
}

int stream_plain_in(struct stream *stream, struct error *err)
{
	if (tls_holds_input(stream->tls))
		return error_set(err, "plain bytes came too early");
	stream->plain_in = true;
	return 0;
}

void stream_plain_out(struct stream *stream)
{
	stream->plain_out = true;
}

int stream_use_pipes(struct stream *stream, const struct pipe_end *in, const struct pipe_end *out,
		     struct error *err)
{
	int flushed = stream_flush(stream, err);

	if (flushed <= 0)
		return flushed < 0 ? -1 : error_set(err, "does not take what was sent");
	stream->in = *in;
	stream->out = *out;
	return 0;
}

struct pollfd stream_poll(const struct stream *stream, bool blocked)
{
	int events = stream->in.memory ? POLLRDHUP : POLLIN | (blocked ? POLLOUT : 0);

	return (struct pollfd){ .fd = stream->fd, .events = (short)events };
}

short stream_events(struct stream *stream, short revents, bool blocked)
{
	bool readable, writable;

	if (!stream->in.memory)
		return revents;
	if (revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
		stream->hung_up = true;
	readable = stream->hung_up || pipe_has_input(&stream->in);
	writable = blocked && pipe_has_room(&stream->out);
	return (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
}

bool stream_holds_input(const struct stream *stream)
{
	if (stream->in.memory)
		return pipe_has_input(&stream->in);
	return !stream->plain_in && tls_holds_input(stream->tls);
}

static long read_connection(struct stream *stream, void *bytes, size_t length, struct error *err)
{
	return stream->plain_in ? sock_read(stream->fd, bytes, length, err)
				: tls_read(stream->tls, bytes, length, err);
}

/* What was written before the connection ended is in the memory when its end is seen. */
static long read_pipe(struct stream *stream, void *bytes, size_t length, struct error *err)
{
	bool hung_up = stream->hung_up;
	long got = pipe_read(&stream->in, bytes, length, err);
	char beside;

	if (got != 0 || !hung_up)
		return got;
	if (read_connection(stream, &beside, 1, err) < 0)
		return -1;
	return error_set(err, "connection closed");
}

long stream_read(struct stream *stream, void *bytes, size_t length, struct error *err)
{
	return stream->in.memory ? read_pipe(stream, bytes, length, err)
				 : read_connection(stream, bytes, length, err);
}

/* 1: nothing is staged; 0: not yet; -1: lost. */
static int write_staged(struct stream *stream, struct error *err)
{
	while (stream->staged_at < stream->staged_end) {
		long put = tls_write(stream->tls, stream->staged + stream->staged_at,
				     stream->staged_end - stream->staged_at, err);

		if (put <= 0)
			return (int)put;
		stream->staged_at += (size_t)put;
	}
	stream->staged_at = stream->staged_end = 0;
	return 1;
}

int stream_flush(struct stream *stream, struct error *err)
{
	int written = write_staged(stream, err);

	if (written <= 0 || stream->plain_out || stream->out.memory)
		return written;
	return tls_flush(stream->tls, err);
}

/* A full record of one part needs no staging. */
static bool fills_record(const struct iovec *parts, int count)
{
	return count == 2 && parts[0].iov_len == 0 && parts[1].iov_len >= RECORD;
}

/* Small parts travel in one record. */
static size_t stage(struct stream *stream, const struct iovec *parts, int count)
{
	for (int i = 0; i < count; i++) {
		size_t room = RECORD - stream->staged_end;
		size_t length = parts[i].iov_len < room ? parts[i].iov_len : room;

		if (length)
			memcpy(stream->staged + stream->staged_end, parts[i].iov_base, length);
		stream->staged_end += length;
	}
	return stream->staged_end;
}

long stream_write(struct stream *stream, const struct iovec *parts, int count, struct error *err)
{
	long put;
	int flushed;

	if (stream->out.memory) {
		put = pipe_write(&stream->out, parts, count, err);
		stream->piped += put > 0 ? (uint64_t)put : 0;
		return put;
	}
	if (stream->plain_out) {
		put = sock_write(stream->fd, parts, count, err);
		stream->plain_sent += put > 0 ? (uint64_t)put : 0;
		return put;
	}
	flushed = write_staged(stream, err);
	if (flushed <= 0)
		return flushed;
	if (fills_record(parts, count))
		return tls_write(stream->tls, parts[1].iov_base, RECORD, err);
	put = (long)stage(stream, parts, count);
	return write_staged(stream, err) < 0 ? -1 : put;
}

uint64_t stream_wire_sent(const struct stream *stream)
{
	return stream->piped + stream->plain_sent + (stream->tls ? tls_wire_sent(stream->tls) : 0);
}

void stream_end(struct stream *stream)
{
	if (!stream->plain_out)
		tls_end(stream->tls);
	sock_end(stream->fd);
}

void stream_close(struct stream *stream)
{
	tls_free(stream->tls);
	free(stream->staged);
	close(stream->fd);
	*stream = (struct stream){ .fd = -1 };
}
