/* What a peer of tcp may do to us that has the key, but does not play by the rules, or dies. */
#include "tests/unit/unit.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/wire.h"
#include "runtime/transport/handshake.h"
#include "runtime/transport/tls.h"
#include "tests/unit/cluster.h"

static const char *const specs[] = { "tcp", "tcp encrypt=no" };

/* Plays rank 1 towards a real rank 0, byte by byte. */
struct rogue {
	struct cluster cluster;
	struct opener opener;
	struct tls_setup *setup;
	struct hello hello;
	struct handshake *handshake;
};

static void rogue_enter(struct rogue *rogue, const char *spec, double timeout_s)
{
	enum handshake_result result = HANDSHAKE_GOES_ON;
	struct cluster *c = &rogue->cluster;
	struct error err;
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_UNBLOCK, &pipe, NULL); /* the net has to see to it itself */
	*rogue = (struct rogue){ .cluster = { .spec = spec, .world = 2, .timeout_s = timeout_s } };
	cluster_prepare(c);
	rogue->hello =
		(struct hello){ HELLO_VERSION, 4711, 1, 1, 2, strcmp(spec, "tcp") == 0, 1, 0 };
	rogue->setup = tls_setup_new(c->env[0].key, &err);
	close(c->env[1].listener);
	opener_init(&rogue->opener, c, 0);
	assert_int_equal(pthread_create(&rogue->opener.thread, NULL, opener_thread, &rogue->opener),
			 0);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	rogue->handshake =
		handshake_dial("127.0.0.1", c->peers[0].port, 0, rogue->setup, &rogue->hello, &err);
	assert_non_null(rogue->handshake);
	while (result == HANDSHAKE_GOES_ON) {
		struct pollfd wait = { .fd = rogue->handshake->stream.fd,
				       .events = rogue->handshake->events };

		assert_int_equal(poll(&wait, 1, 60000), 1);
		result = handshake_step(rogue->handshake, &err);
	}
	assert_int_equal(result, HANDSHAKE_DONE);
	pthread_join(rogue->opener.thread, NULL);
	cluster_must(rogue->opener.net ? 0 : -1, &rogue->opener.err);
}

static void rogue_says(struct rogue *rogue, const void *bytes, size_t length)
{
	struct stream *stream = &rogue->handshake->stream;
	struct error err;

	for (size_t done = 0; done < length;) {
		struct iovec part = { (char *)(uintptr_t)bytes + done, length - done };
		struct pollfd room = { .fd = stream->fd, .events = POLLOUT };
		long put;

		assert_int_equal(poll(&room, 1, 60000), 1);
		put = stream_write(stream, &part, 1, &err);
		assert_true(put >= 0);
		done += (size_t)put;
	}
	while (stream_flush(stream, &err) == 0)
		;
}

static void rogue_says_header(struct rogue *rogue, uint32_t magic, uint32_t view, uint64_t length)
{
	struct buf header = { 0 };

	wire_put_u32(&header, magic);
	wire_put_u32(&header, view);
	wire_put_u64(&header, 5);
	wire_put_u64(&header, length);
	rogue_says(rogue, header.data, header.length);
	buf_release(&header);
}

static void rogue_leave(struct rogue *rogue)
{
	handshake_free(rogue->handshake);
	net_close(rogue->opener.net);
	tls_setup_free(rogue->setup);
	cluster_release(&rogue->cluster);
}

enum { MAGIC = 0x4d535344 };

static void messages_of_another_view_are_dropped(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct net_request request;
		struct rogue rogue;
		char text[4] = "";
		struct error err;

		rogue_enter(&rogue, specs[i], 60);
		net_post_recv(rogue.opener.net, 1, 5, text, 4, &request);
		rogue_says_header(&rogue, MAGIC, 2, 4);
		rogue_says(&rogue, "old", 4);
		rogue_says_header(&rogue, MAGIC, 1, 4);
		rogue_says(&rogue, "new", 4);
		cluster_must(net_wait(rogue.opener.net, &request, &err), &err);
		assert_string_equal(text, "new");
		rogue_leave(&rogue);
	}
}

static void frames_that_make_no_sense_end_the_connection(void **state)
{
	static const struct {
		uint32_t magic;
		uint64_t length;
		const char *why;
	} frames[] = {
		{ MAGIC + 1, 4, "lost rank 1 (node1): sent something that is no message" },
		{ MAGIC, UINT64_MAX, "18446744073709551615 bytes, too long" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		struct net_request request;
		struct rogue rogue;
		struct error err;
		char text[4];

		rogue_enter(&rogue, "tcp", 60);
		net_post_recv(rogue.opener.net, 1, 5, text, 4, &request);
		rogue_says_header(&rogue, frames[i].magic, 1, frames[i].length);
		assert_int_equal(net_wait(rogue.opener.net, &request, &err), -1);
		assert_non_null(strstr(err.text, frames[i].why));
		rogue_leave(&rogue);
	}
}

static void a_peer_that_dies_within_a_message_fails_it(void **state)
{
	static const char sent[1 << 19];
	char *block = xcalloc(1, 1 << 20);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct net_request request;
		struct rogue rogue;
		struct error err;

		rogue_enter(&rogue, specs[i], 60);
		net_post_recv(rogue.opener.net, 1, 5, block, 1 << 20, &request);
		rogue_says_header(&rogue, MAGIC, 1, 1 << 20);
		rogue_says(&rogue, sent, sizeof(sent));
		stream_close(&rogue.handshake->stream);
		assert_int_equal(net_wait(rogue.opener.net, &request, &err), -1);
		assert_string_equal(err.text, "lost rank 1 (node1): connection closed");
		rogue_leave(&rogue);
	}
	free(block);
}

static void a_peer_that_dies_while_it_is_sent_to_kills_nobody(void **state)
{
	const size_t length = 64 << 20;
	char *block = xcalloc(1, length);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct net_request requests[2];
		struct rogue rogue;
		struct error err;

		rogue_enter(&rogue, specs[i], 60);
		net_post_send(rogue.opener.net, 1, 5, block, length, &requests[0]);
		net_post_send(rogue.opener.net, 1, 5, block, length, &requests[1]);
		stream_close(&rogue.handshake->stream);
		assert_int_equal(net_wait_all(rogue.opener.net, requests, 2, &err), -1);
		assert_non_null(strstr(err.text, "lost rank 1 (node1): "));
		rogue_leave(&rogue);
	}
	free(block);
}

/* The buffer is the caller's again, though half of the message is in it. */
static void a_late_message_leaves_a_buffer_alone_that_was_given_up(void **state)
{
	const size_t length = 1 << 20;
	unsigned char *sent = xmalloc(length), *got = xcalloc(1, length);

	(void)state;
	memset(sent, 1, length);
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct net_request request;
		struct rogue rogue;
		struct error err;

		rogue_enter(&rogue, specs[i], 1);
		net_post_recv(rogue.opener.net, 1, 5, got, length, &request);
		rogue_says_header(&rogue, MAGIC, 1, length);
		rogue_says(&rogue, sent, length / 2);
		assert_int_equal(net_wait(rogue.opener.net, &request, &err), -1);
		assert_non_null(strstr(err.text, "no message from rank 1 (node1) within"));
		memset(got, 0, length);
		rogue_says(&rogue, sent, length - length / 2);
		rogue_says_header(&rogue, MAGIC, 1, 1);
		rogue_says(&rogue, "x", 1);
		net_post_recv(rogue.opener.net, 1, 5, got, 1, &request);
		cluster_must(net_wait(rogue.opener.net, &request, &err), &err);
		assert_int_equal(got[0], 'x');
		for (size_t k = 1; k < length; k++)
			assert_int_equal(got[k], 0);
		rogue_leave(&rogue);
	}
	free(sent);
	free(got);
}

/* Big enough that it is on its way in before all of it was sent. */
static void a_large_message_that_nobody_expected_arrives_whole(void **state)
{
	const size_t length = (16 << 20) + 3;
	unsigned char *sent = xmalloc(length), *got = xcalloc(1, length);

	(void)state;
	for (size_t k = 0; k < length; k++)
		sent[k] = (unsigned char)(k ^ k >> 8 ^ k >> 16);
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct net_request request;
		struct rogue rogue;
		struct error err;

		rogue_enter(&rogue, specs[i], 60);
		rogue_says_header(&rogue, MAGIC, 1, length);
		rogue_says(&rogue, sent, length);
		net_post_recv(rogue.opener.net, 1, 5, got, length, &request);
		cluster_must(net_wait(rogue.opener.net, &request, &err), &err);
		assert_memory_equal(got, sent, length);
		memset(got, 0, length);
		rogue_leave(&rogue);
	}
	free(sent);
	free(got);
}

/* A sanitizer needs more addresses than a limit leaves it. */
static void limit_addresses(rlim_t bytes)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
#else
	(void)bytes;
#endif
}

static void the_length_that_a_peer_claims_takes_no_memory(void **state)
{
	const size_t length = 4 << 20;
	unsigned char *sent = xcalloc(1, length);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct net_request request;
		struct rogue rogue;
		struct error err;

		rogue_enter(&rogue, specs[i], 60);
		limit_addresses((rlim_t)4 << 30);
		rogue_says_header(&rogue, MAGIC, 1, NET_LENGTH_MAX);
		rogue_says(&rogue, sent, length);
		net_post_recv(rogue.opener.net, 1, 5, sent, 1, &request);
		shutdown(rogue.handshake->stream.fd, SHUT_RDWR);
		assert_int_equal(net_wait(rogue.opener.net, &request, &err), -1);
		assert_non_null(strstr(err.text, "lost rank 1"));
		limit_addresses(RLIM_INFINITY);
		rogue_leave(&rogue);
	}
	free(sent);
}

static void a_peer_that_does_not_read_is_given_up_by_name(void **state)
{
	const size_t length = 64 << 20;
	char *block = xcalloc(1, length);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct net_request request;
		double start;
		struct rogue rogue;
		struct error err;

		rogue_enter(&rogue, specs[i], 1);
		net_post_send(rogue.opener.net, 1, 5, block, length, &request);
		assert_int_equal(net_wait(rogue.opener.net, &request, &err), -1);
		assert_non_null(strstr(err.text, "could not send to rank 1 (node1) within"));
		net_post_send(rogue.opener.net, 1, 5, block, 1, &request);
		assert_int_equal(net_wait(rogue.opener.net, &request, &err), -1);
		assert_string_equal(err.text,
				    "lost rank 1 (node1): gave up in the middle of a message");
		start = clock_now();
		net_close(rogue.opener.net);
		assert_true(clock_now() - start < 30);
		rogue.opener.net = NULL;
		rogue_leave(&rogue);
	}
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_another_view_are_dropped),
		cmocka_unit_test(frames_that_make_no_sense_end_the_connection),
		cmocka_unit_test(a_peer_that_dies_within_a_message_fails_it),
		cmocka_unit_test(a_peer_that_dies_while_it_is_sent_to_kills_nobody),
		cmocka_unit_test(a_late_message_leaves_a_buffer_alone_that_was_given_up),
		cmocka_unit_test(a_large_message_that_nobody_expected_arrives_whole),
		cmocka_unit_test(the_length_that_a_peer_claims_takes_no_memory),
		cmocka_unit_test(a_peer_that_does_not_read_is_given_up_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
