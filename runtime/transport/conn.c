/*
 * One connection to a peer. A frame is magic, view, tag and length, little-endian, and then the
 * message. Headers and small messages pass through a buffer; what is left of a large one is read
 * straight to its place.
 */
#include "runtime/transport/conn.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/sock.h"
#include "lib/wire.h"
#include "runtime/transport/mailbox.h"
#include "runtime/transport/stream.h"

enum {
	HEADER_BYTES = 24,
	INPUT_BYTES = 4 << 10, /* what follows a header in it is copied: a little */
	FAIR_BYTES = 4 << 20, /* before it is the turn of the other direction and the other peers */
};

static const uint32_t magic = 0x4d535344; /* "DSSM" */

struct conn {
	struct mailbox *box;
	struct stream stream;
	int peer, number;
	uint32_t view;
	uint64_t payload_sent;
	struct net_overhead overhead; /* control: what the connection began with */

	/* The message going out. */
	bool sending, blocked, ended;
	struct buf header_out;
	size_t sent; /* of header and message */

	/* The message coming in. */
	bool arriving, more;
	uint64_t finished; /* messages so far */
	struct arrival arrival;
	unsigned char header_in[HEADER_BYTES];
	size_t header_got;
	size_t length, got; /* of the message */
	size_t in_at, in_end;
	unsigned char in[INPUT_BYTES];
};

struct conn *conn_new(struct mailbox *box, int peer, int number, uint32_t view,
		      const struct stream *stream)
{
	struct conn *conn = xcalloc(1, sizeof(*conn));

	conn->box = box;
	conn->peer = peer;
	conn->number = number;
	conn->view = view;
	conn->stream = *stream;
	conn->overhead.control = stream_wire_sent(stream);
	conn->more = true; /* TLS may have read ahead during the handshake */
	return conn;
}

void conn_free(struct conn *conn)
{
	if (!conn)
		return;
	conn_close(conn);
	buf_release(&conn->header_out);
	free(conn);
}

void conn_close(struct conn *conn)
{
	if (conn->stream.fd < 0)
		return;
	sock_end(conn->stream.fd); /* at once, even if somebody is polling it */
	stream_close(&conn->stream);
	conn->blocked = conn->more = false;
}

static void put_header(struct conn *conn, const struct net_request *request)
{
	conn->header_out.length = 0;
	wire_put_u32(&conn->header_out, magic);
	wire_put_u32(&conn->header_out, conn->view);
	wire_put_u64(&conn->header_out, request->tag);
	wire_put_u64(&conn->header_out, request->length);
}

static int get_header(const struct conn *conn, struct envelope *out, struct error *err)
{
	struct wire wire = wire_reader(conn->header_in, HEADER_BYTES);

	if (wire_get_u32(&wire) != magic)
		return error_set(err, "sent something that is no message");
	out->view = wire_get_u32(&wire);
	out->tag = wire_get_u64(&wire);
	out->length = wire_get_u64(&wire);
	if (out->length > NET_LENGTH_MAX)
		return error_set(err, "sent a message of %" PRIu64 " bytes, too long", out->length);
	return 0;
}

/* Writes some of the message; *whole when that was all. As stream_write. */
static long write_some(struct conn *conn, const struct net_request *request, bool *whole,
		       struct error *err)
{
	size_t in_header = conn->sent < HEADER_BYTES ? conn->sent : HEADER_BYTES;
	size_t in_message = conn->sent - in_header;
	struct iovec parts[] = {
		{ conn->header_out.data + in_header, HEADER_BYTES - in_header },
		{ (unsigned char *)request->bytes + in_message, request->length - in_message },
	};
	long put = stream_write(&conn->stream, parts, request->length ? 2 : 1, err);

	if (put > 0)
		conn->sent += (size_t)put;
	*whole = conn->sent == HEADER_BYTES + request->length;
	return put;
}

int conn_write(struct conn *conn, struct error *err)
{
	struct net_request *request;
	size_t total = 0;
	int flushed;

	conn->blocked = false;
	while (!conn->blocked && (request = mailbox_sending(conn->box, conn->peer, conn->number))) {
		bool whole;
		long put;

		if (!conn->sending)
			put_header(conn, request);
		conn->sending = true;
		put = write_some(conn, request, &whole, err);
		if (whole) {
			conn->payload_sent += request->length;
			conn->sending = false;
			conn->sent = 0;
		}
		mailbox_sent(conn->box, conn->peer, conn->number, whole);
		if (put < 0)
			return -1;
		total += (size_t)put;
		conn->blocked = put == 0 || total >= FAIR_BYTES;
	}
	if (conn->sending && !request && !conn->blocked)
		return error_set(err, "gave up in the middle of a message");
	flushed = stream_flush(&conn->stream, err);
	if (flushed < 0)
		return -1;
	conn->blocked = conn->blocked || flushed == 0;
	if (!conn->sending && flushed)
		conn->overhead.header = stream_wire_sent(&conn->stream) - conn->payload_sent -
					conn->overhead.control;
	return total > 0;
}

static void end_message(struct conn *conn)
{
	mailbox_end(conn->box, &conn->arrival);
	conn->arriving = false;
	conn->finished++;
	conn->header_got = 0;
}

static int begin_message(struct conn *conn, struct error *err)
{
	struct envelope envelope;

	if (get_header(conn, &envelope, err) < 0)
		return -1;
	mailbox_begin(conn->box, &conn->arrival, conn->peer, &envelope);
	conn->arriving = true;
	conn->length = envelope.length;
	conn->got = 0;
	if (conn->length == 0)
		end_message(conn);
	return 0;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t take_input(struct conn *conn, unsigned char *to, size_t wanted)
{
	size_t length = smaller(conn->in_end - conn->in_at, wanted);

	memcpy(to, conn->in + conn->in_at, length);
	conn->in_at += length;
	return length;
}

/* Sorts what the buffer holds into headers and messages. */
static int sort_input(struct conn *conn, struct error *err)
{
	while (conn->in_at < conn->in_end) {
		if (conn->arriving) {
			size_t room;
			unsigned char *bytes =
				mailbox_pin(conn->box, &conn->arrival, conn->got, &room);

			conn->got +=
				take_input(conn, bytes, smaller(room, conn->length - conn->got));
			mailbox_unpin(conn->box, &conn->arrival);
			if (conn->got == conn->length)
				end_message(conn);
			continue;
		}
		conn->header_got += take_input(conn, conn->header_in + conn->header_got,
					       HEADER_BYTES - conn->header_got);
		if (conn->header_got == HEADER_BYTES && begin_message(conn, err) < 0)
			return -1;
	}
	return 0;
}

static long read_some(struct conn *conn, struct error *err)
{
	size_t wanted = INPUT_BYTES, room;
	unsigned char *bytes;
	long got;

	if (!conn->arriving || conn->length - conn->got < INPUT_BYTES) {
		got = stream_read(&conn->stream, conn->in, INPUT_BYTES, err);
		conn->in_at = 0;
		conn->in_end = got > 0 ? (size_t)got : 0;
		if (got > 0 && sort_input(conn, err) < 0)
			return -1;
	} else {
		bytes = mailbox_pin(conn->box, &conn->arrival, conn->got, &room);
		wanted = smaller(room, conn->length - conn->got);
		got = stream_read(&conn->stream, bytes, wanted, err);
		mailbox_unpin(conn->box, &conn->arrival);
		if (got > 0)
			conn->got += (uint64_t)got;
		if (conn->got == conn->length)
			end_message(conn);
	}
	conn->more = got == (long)wanted || (got > 0 && stream_holds_input(&conn->stream));
	return got;
}

int conn_read(struct conn *conn, struct error *err)
{
	uint64_t finished = conn->finished;
	size_t total = 0;
	long got;

	do {
		got = read_some(conn, err);
		total += got > 0 ? (size_t)got : 0;
	} while (got > 0 && conn->more && conn->finished == finished && total < FAIR_BYTES);
	return got < 0 ? -1 : total > 0;
}

bool conn_has_input(const struct conn *conn)
{
	return conn->more || (conn->stream.in.memory && stream_holds_input(&conn->stream));
}

bool conn_wants_write(const struct conn *conn)
{
	return conn->blocked;
}

struct net_overhead conn_overhead(const struct conn *conn)
{
	return conn->overhead;
}

int conn_use_pipes(struct conn *conn, const struct pipe_end *in, const struct pipe_end *out,
		   struct error *err)
{
	return stream_use_pipes(&conn->stream, in, out, err);
}

struct pollfd conn_poll(const struct conn *conn)
{
	return stream_poll(&conn->stream, conn->blocked);
}

bool conn_before_sleep(struct conn *conn)
{
	return conn->more || (conn->stream.in.memory && conn_events(conn, 0));
}

short conn_events(struct conn *conn, short revents)
{
	return stream_events(&conn->stream, revents, conn->blocked);
}

void conn_end(struct conn *conn)
{
	if (!conn->ended)
		stream_end(&conn->stream);
	conn->ended = true;
}

bool conn_delivered(const struct conn *conn)
{
	return sock_unsent(conn->stream.fd) == 0;
}
