/* What a peer that has the key may say on the data plane, in pieces; some of it is waited for. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/wire.h"
#include "runtime/transport/conn.h"
#include "runtime/transport/mailbox.h"
#include "runtime/transport/stream.h"

enum { WORLD = 2, PEER = 1, VIEW = 1, RECEIVES = 4, HEADER = 24, LARGE = 1 << 16 };

static size_t delivered;

static void deliver(void *arg, int peer, uint64_t tag, const void *bytes, size_t length)
{
	(void)arg;
	assert(peer == PEER && (tag & NET_TAG_UNSOLICITED));
	for (size_t i = 0; i < length; i++)
		delivered += ((const uint8_t *)bytes)[i];
}

/* A message that claims to be large makes no more trouble than its memory: not worth the time. */
static bool claims_much(const uint8_t *bytes, size_t length)
{
	while (length >= HEADER) {
		struct wire wire = wire_reader(bytes + 16, 8);
		uint64_t claimed = wire_get_u64(&wire);

		if (claimed > LARGE)
			return claimed <= NET_LENGTH_MAX;
		if (claimed > length - HEADER)
			return false;
		bytes += HEADER + claimed;
		length -= HEADER + claimed;
	}
	return false;
}

static void feed(struct conn *conn, int fd, const uint8_t *bytes, size_t length, size_t piece)
{
	struct error err;
	int status = 0;

	while (length && status >= 0) {
		size_t now = piece < length ? piece : length;

		assert(file_write_all(fd, bytes, now) == 0);
		status = conn_read(conn, &err);
		bytes += now;
		length -= now;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const struct net_peer peers[WORLD] = { { .host = "a" }, { .host = "b" } };
	const struct net_env env = { .world = WORLD, .view = VIEW, .peers = peers };
	struct net_request requests[RECEIVES];
	uint8_t room[RECEIVES][16];
	size_t piece = 1 + fuzz_byte(&bytes, &length);
	struct mailbox *box;
	struct stream stream;
	struct conn *conn;
	struct error err;
	int fds[2];

	if (length > LARGE || claims_much(bytes, length))
		return -1;
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	box = mailbox_new(&env, 1, deliver, NULL);
	stream_init(&stream, fds[0]);
	stream.plain_in = stream.plain_out = true;
	conn = conn_new(box, PEER, 0, VIEW, &stream);
	for (size_t i = 0; i < RECEIVES; i++) {
		requests[i] = (struct net_request){
			.bytes = room[i], .length = 4 * i, .tag = i, .peer = PEER, .receive = true
		};
		mailbox_post_recv(box, &requests[i]);
	}
	feed(conn, fds[1], bytes, length, piece);
	mailbox_deliver(box, false);
	for (size_t i = 0; i < RECEIVES; i++)
		(void)mailbox_wait(box, &requests[i], clock_now(), &err);
	mailbox_lose(box, PEER, "the end");
	conn_free(conn);
	mailbox_free(box);
	close(fds[1]);
	return 0;
}
