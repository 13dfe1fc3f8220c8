/* What a recorded handshake is worth to who replays it, with the very key and the very run. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "runtime/transport/handshake.h"
#include "runtime/transport/tls.h"

static const struct hello mine = { HELLO_VERSION, 4711, 1, 0, 2, true, 1, 0 };
static const struct hello theirs = { HELLO_VERSION, 4711, 1, 1, 2, true, 1, 0 };

static struct handshake *answer(struct tls_setup *setup, int *other)
{
	struct handshake *ours;
	struct error err;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	ours = handshake_accept(fds[0], setup, &mine, &err);
	assert_non_null(ours);
	*other = fds[1];
	return ours;
}

/* Hands on what came; keeps it, too. */
static void relay(int from, int to, struct buf *kept)
{
	char bytes[4096];
	ssize_t got = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (got <= 0)
		return;
	assert_int_equal(file_write_all(to, bytes, (size_t)got), 0);
	if (kept)
		buf_add(kept, bytes, (size_t)got);
}

/* One connection through a relay, until both sides are content. What the dialling one said. */
static struct buf record(struct tls_setup *setup)
{
	enum handshake_result accepted = HANDSHAKE_GOES_ON, dialled = HANDSHAKE_GOES_ON;
	struct handshake *dials, *accepts;
	struct buf said = { 0 };
	struct error err;
	int listener, from_dialler, to_acceptor;
	uint16_t port = 0;
	double end = clock_now() + 60;

	assert_int_equal(sock_listen(&listener, "127.0.0.1", &port, &err), 0);
	dials = handshake_dial("127.0.0.1", port, 0, setup, &theirs, &err);
	assert_non_null(dials);
	while ((from_dialler = sock_accept(listener)) < 0)
		assert_int_equal(errno, EAGAIN);
	accepts = answer(setup, &to_acceptor);
	while ((accepted == HANDSHAKE_GOES_ON || dialled == HANDSHAKE_GOES_ON) &&
	       clock_now() < end) {
		if (dialled == HANDSHAKE_GOES_ON)
			dialled = handshake_step(dials, &err);
		relay(from_dialler, to_acceptor, &said);
		if (accepted == HANDSHAKE_GOES_ON)
			accepted = handshake_step(accepts, &err);
		relay(to_acceptor, from_dialler, NULL);
	}
	assert_int_equal(accepted, HANDSHAKE_DONE);
	assert_int_equal(dialled, HANDSHAKE_DONE);
	handshake_free(dials);
	handshake_free(accepts);
	close(from_dialler);
	close(to_acceptor);
	close(listener);
	return said;
}

/* All at once, or the first `count` bytes and the rest when an answer is there. */
static enum handshake_result replay(struct tls_setup *setup, const struct buf *said, size_t count)
{
	enum handshake_result result = HANDSHAKE_GOES_ON;
	struct handshake *ours;
	struct error err;
	bool secure;
	int other;

	ours = answer(setup, &other);
	assert_int_equal(file_write_all(other, said->data, count), 0);
	result = handshake_step(ours, &err);
	if (result == HANDSHAKE_GOES_ON && count < said->length) {
		assert_int_equal(file_write_all(other, said->data + count, said->length - count),
				 0);
		result = handshake_step(ours, &err);
	}
	secure = ours->secure;
	assert_false(secure);
	handshake_free(ours);
	close(other);
	return result;
}

static void a_recorded_handshake_lets_nobody_in(void **state)
{
	static const unsigned char key[NET_KEY_BYTES] = { 1, 2, 3 };
	struct tls_setup *setup;
	struct error err;
	struct buf said;

	(void)state;
	setup = tls_setup_new(key, &err);
	assert_non_null(setup);
	said = record(setup);
	assert_true(said.length > 300);
	assert_int_equal(replay(setup, &said, said.length), HANDSHAKE_REFUSED);
	for (size_t count = 1; count < said.length; count += 7)
		assert_int_not_equal(replay(setup, &said, count), HANDSHAKE_DONE);
	buf_release(&said);
	tls_setup_free(setup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recorded_handshake_lets_nobody_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
