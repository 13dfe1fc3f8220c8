/*
 * From a socket to an authenticated stream of a known rank. After TLS the dialling side says hello,
 * the other one answers with its own, then each acknowledges. Neither side writes while it waits
 * for an answer, so at each switch to plain bytes nothing can be on its way that belongs before it.
 */
#include "runtime/transport/handshake.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/transport/tls.h"

struct step {
	bool sends, hello; /* else one byte */
	bool last;	   /* in its direction before plain bytes */
};

static const struct step dialling[] = {
	{ .sends = true, .hello = true },
	{ .hello = true, .last = true },
	{ .sends = true, .last = true },
	{ 0 },
};
static const struct step accepting[] = {
	{ .hello = true },
	{ .sends = true, .hello = true, .last = true },
	{ .last = true },
	{ .sends = true },
};

static const unsigned char acknowledgement = 'A';

static struct handshake *start(int fd, bool dials, struct tls_setup *setup,
			       const struct hello *mine, struct error *err)
{
	struct handshake *handshake = xcalloc(1, sizeof(*handshake));

	stream_init(&handshake->stream, fd);
	handshake->mine = mine;
	handshake->dials = dials;
	handshake->events = dials ? POLLOUT : POLLIN;
	if (stream_begin_tls(&handshake->stream, setup, dials, err) < 0) {
		handshake_free(handshake);
		return NULL;
	}
	return handshake;
}

struct handshake *handshake_accept(int fd, struct tls_setup *setup, const struct hello *mine,
				   struct error *err)
{
	struct handshake *handshake = start(fd, false, setup, mine, err);

	if (handshake) {
		handshake->connected = true;
		sock_peer_name(handshake->name, fd);
	}
	return handshake;
}

struct handshake *handshake_dial(const char *address, uint16_t port, int expected,
				 struct tls_setup *setup, const struct hello *mine,
				 struct error *err)
{
	struct handshake *handshake;
	int fd;

	if (sock_dial(&fd, address, port, err) < 0)
		return NULL;
	handshake = start(fd, true, setup, mine, err);
	if (handshake)
		handshake->expected = expected;
	return handshake;
}

/* Moves the bytes of one step: 1 when all are through, 0 not yet, -1 lost. */
static int move(struct handshake *h, const struct step *step, struct error *err)
{
	size_t length = step->hello ? HELLO_BYTES : 1;

	if (step->sends && h->done == 0) {
		if (step->hello)
			hello_put(h->mine, h->message);
		else
			h->message[0] = acknowledgement;
	}
	while (h->done < length) {
		struct iovec part = { h->message + h->done, length - h->done };
		long moved = step->sends
				     ? stream_write(&h->stream, &part, 1, err)
				     : stream_read(&h->stream, part.iov_base, part.iov_len, err);

		if (moved <= 0)
			return (int)moved;
		h->done += (size_t)moved;
	}
	return step->sends ? stream_flush(&h->stream, err) : 1;
}

/* Judges what came; and turns to plain bytes after the last message of a direction. */
static int finish_step(struct handshake *h, const struct step *step, struct error *err)
{
	bool turns = step->last && !h->mine->encrypt;

	if (step->sends) {
		if (turns)
			stream_plain_out(&h->stream);
		/* The dialling side has seen our hello now, and knows as well as we do. */
		return step->hello && !h->dials ? hello_match(h->mine, &h->theirs, err) : 0;
	}
	if (!step->hello && h->message[0] != acknowledgement)
		return error_set(err, "does not speak dstrain's protocol");
	if (step->hello && hello_get(&h->theirs, h->message, err) < 0)
		return -1;
	if (step->hello && h->dials && hello_match(h->mine, &h->theirs, err) < 0)
		return -1;
	if (step->hello && h->dials && h->theirs.rank != h->expected)
		return error_set(err, "rank differs: it is rank %d", h->theirs.rank);
	return turns ? stream_plain_in(&h->stream, err) : 0;
}

static enum handshake_result exchange(struct handshake *h, struct error *err)
{
	const struct step *steps = h->dials ? dialling : accepting;

	for (; h->step < ARRAY_SIZE(dialling); h->step++, h->done = 0) {
		const struct step *step = &steps[h->step];
		int moved = move(h, step, err);

		h->events = step->sends ? POLLOUT : POLLIN;
		if (moved == 0)
			return HANDSHAKE_GOES_ON;
		if (moved < 0)
			return tls_was_refused(h->stream.tls) ? HANDSHAKE_REFUSED
							      : HANDSHAKE_BROKEN;
		if (finish_step(h, step, err) < 0)
			return HANDSHAKE_REFUSED;
	}
	return HANDSHAKE_DONE;
}

enum handshake_result handshake_step(struct handshake *h, struct error *err)
{
	int status = 1;

	if (!h->connected) {
		if (sock_connected(h->stream.fd, err) < 0)
			return HANDSHAKE_BROKEN;
		h->connected = true;
		sock_peer_name(h->name, h->stream.fd);
	}
	if (!h->secure)
		status = tls_shake(h->stream.tls, err);
	if (status < 0 && !tls_was_refused(h->stream.tls))
		return HANDSHAKE_BROKEN;
	if (status < 0) {
		error_prefix(err, "does not have this run's key");
		return HANDSHAKE_REFUSED;
	}
	h->events = tls_wants_write(h->stream.tls) ? POLLOUT : POLLIN;
	if (status == 0)
		return HANDSHAKE_GOES_ON;
	h->secure = true;
	return exchange(h, err);
}

void handshake_free(struct handshake *handshake)
{
	if (handshake->stream.fd >= 0)
		stream_close(&handshake->stream);
	free(handshake);
}
