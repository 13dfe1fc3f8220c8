/* What somebody says who connects, or whom we connected to: without the key, or within TLS. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "runtime/transport/handshake.h"
#include "runtime/transport/tls.h"

enum { TURNS = 64 };
enum { KEYED = 1, DIALS = 2, ENCRYPT = 4 }; /* of the first byte */

static struct tls_setup *setup;
static int listener;
static uint16_t port;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const unsigned char key[NET_KEY_BYTES] = { 1 };
	struct error err;

	(void)argc;
	(void)argv;
	setup = tls_setup_new(key, &err);
	assert(setup);
	signal(SIGPIPE, SIG_IGN);
	assert(sock_listen(&listener, "127.0.0.1", &port, &err) == 0);
	return 0;
}

/* The other side, with the key: says the bytes within TLS, whatever it hears. */
static void shake_and_say(struct handshake *ours, struct stream *other, const uint8_t *bytes,
			  size_t length, enum handshake_result *result)
{
	struct error err;
	int shaken = 0;
	size_t done = 0;
	char heard[256];

	for (int turn = 0; turn < TURNS && *result == HANDSHAKE_GOES_ON; turn++) {
		struct iovec part = { (void *)(uintptr_t)(bytes + done), length - done };
		long put = 0;

		if (shaken == 0)
			shaken = tls_shake(other->tls, &err);
		if (shaken > 0 && done < length)
			put = stream_write(other, &part, 1, &err);
		if (shaken > 0)
			(void)stream_flush(other, &err);
		if (shaken > 0)
			(void)stream_read(other, heard, sizeof(heard), &err);
		if (shaken < 0 || put < 0)
			return;
		done += (size_t)put;
		*result = handshake_step(ours, &err);
	}
}

static void say(struct handshake *ours, int fd, const uint8_t *bytes, size_t length,
		enum handshake_result *result)
{
	struct error err;
	size_t half = length / 2;

	if (file_write_all(fd, bytes, half) == 0)
		*result = handshake_step(ours, &err);
	if (*result == HANDSHAKE_GOES_ON && file_write_all(fd, bytes + half, length - half) == 0)
		*result = handshake_step(ours, &err);
	assert(*result != HANDSHAKE_DONE); /* nobody gets in without the key */
}

/* We dial somebody. The close that follows leaves no port behind that waits. */
static struct handshake *dial(const struct hello *mine, int *other)
{
	static const struct linger none = { .l_onoff = 1 };
	struct error err;
	struct handshake *ours = handshake_dial("127.0.0.1", port, 0, setup, mine, &err);

	assert(ours);
	while ((*other = sock_accept(listener)) < 0)
		assert(errno == EAGAIN || errno == ECONNABORTED);
	assert(setsockopt(*other, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0);
	return ours;
}

static struct handshake *answer(const struct hello *mine, int *other)
{
	struct handshake *ours;
	struct error err;
	int fds[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	ours = handshake_accept(fds[0], setup, mine, &err);
	assert(ours);
	*other = fds[1];
	return ours;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	uint8_t kind = fuzz_byte(&bytes, &length);
	bool keyed = kind & KEYED, dials = kind & DIALS;
	struct hello mine = { HELLO_VERSION, 4711, 1, 1, 3, kind & ENCRYPT, 2, 0 };
	enum handshake_result result = HANDSHAKE_GOES_ON;
	struct handshake *ours;
	struct stream other;
	struct error err;
	int fd;

	if (length > 4096)
		return -1;
	ours = dials ? dial(&mine, &fd) : answer(&mine, &fd);
	stream_init(&other, fd);
	assert(stream_begin_tls(&other, setup, !dials, &err) == 0);
	if (keyed)
		shake_and_say(ours, &other, bytes, length, &result);
	else
		say(ours, fd, bytes, length, &result);
	assert(result != HANDSHAKE_DONE ||
	       (ours->theirs.job == mine.job && ours->theirs.view == mine.view));
	stream_close(&other);
	handshake_free(ours);
	return 0;
}
