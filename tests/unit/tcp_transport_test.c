/* tcp among strangers: wrong keys, other runs, garbage, silence, and who can read what. */
#include "tests/unit/unit.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/sock.h"
#include "tests/unit/cluster.h"

static const char *const specs[] = { "tcp", "tcp encrypt=no" };

static void must_say(const struct opener *opener, const char *one, const char *two)
{
	assert_null(opener->net);
	if (!strstr(opener->err.text, one) || !strstr(opener->err.text, two))
		fail_msg("'%s' lacks '%s' or '%s'", opener->err.text, one, two);
}

/* Sends a number to and fro: all is well. */
static void must_talk(struct net *a, struct net *b)
{
	struct net_request requests[2];
	uint64_t out = 77, in = 0;
	struct error err;

	for (int i = 0; i < 2; i++) {
		struct net *from = i ? a : b, *to = i ? b : a;

		net_post_recv(to, net_rank(from), 1, &in, sizeof(in), &requests[0]);
		net_post_send(from, net_rank(to), 1, &out, sizeof(out), &requests[1]);
		cluster_must(net_wait(from, &requests[1], &err), &err);
		cluster_must(net_wait(to, &requests[0], &err), &err);
		assert_int_equal(in, out);
		in = 0;
	}
}

/* Ranks that cannot all meet, for something is wrong with one of them. */
struct clash {
	const char *spec;
	int world;
	void (*spoil)(struct cluster *c, struct opener *openers, int what);
	int what;
	const char *words[3]; /* what each rank must say of it */
};

static bool all_say_why(const struct clash *clash, const struct opener *openers)
{
	for (int rank = 0; rank < clash->world; rank++)
		if (!strstr(openers[rank].err.text, clash->words[rank]))
			return false;
	return true;
}

/* Whoever waits for a rank that was refused fails when its time is up. On a busy machine that may
 * be before anybody came: then with more time. */
static void must_clash(const struct clash *clash, struct opener *openers)
{
	double timeout_s = 0.3;

	do {
		struct cluster c = { .spec = clash->spec,
				     .world = clash->world,
				     .timeout_s = timeout_s };

		cluster_prepare(&c);
		for (int rank = 0; rank < clash->world; rank++)
			opener_init(&openers[rank], &c, rank);
		clash->spoil(&c, openers, clash->what);
		opener_run(openers, (size_t)clash->world);
		cluster_release(&c);
		timeout_s *= 5;
	} while (!all_say_why(clash, openers) && timeout_s < 60);
	for (int rank = 0; rank < clash->world; rank++)
		must_say(&openers[rank], clash->words[rank], "");
}

static void change_key(struct cluster *c, struct opener *openers, int what)
{
	(void)c;
	(void)what;
	openers[1].env.key[31] ^= 1;
}

static void another_key_is_refused_with_and_without_encryption(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct clash clash = { specs[i],
				       2,
				       change_key,
				       0,
				       { "does not have this run's key",
					 "does not have this run's key" } };
		struct opener openers[2];

		must_clash(&clash, openers);
		must_say(&openers[0], "rank 1 (node1) did not connect within ",
			 "refused was 127.0.0.1:");
		must_say(&openers[1], "rank 0 (node0) at 127.0.0.1", "");
	}
}

static struct part plain, wide;

static void change_run(struct cluster *c, struct opener *openers, int what)
{
	openers[1].env.job = what == 0 ? 9 : 4711;
	openers[1].env.view = what == 1 ? 2 : 1;
	openers[1].env.world = what == 2 ? 3 : 2;
	openers[1].part = what == 3 ? &plain : what == 4 ? &wide : &c->part;
	c->peers[2] = c->peers[0];
}

static void another_run_is_refused_by_what_differs(void **state)
{
	static const char *const words[][2] = {
		{ "job differs: 9 there, 4711 here", "job differs: 4711 there, 9 here" },
		{ "view differs: 2 there, 1 here", "view differs: 1 there, 2 here" },
		{ "world differs: 3 there, 2 here", "world differs: 2 there, 3 here" },
		{ "encrypt differs: 0 there, 1 here", "encrypt differs: 1 there, 0 here" },
		{ "streams differs: 2 there, 1 here", "streams differs: 1 there, 2 here" },
	};

	(void)state;
	plain = cluster_part("tcp encrypt=no");
	wide = cluster_part("tcp streams=2");
	for (int what = 0; what < (int)ARRAY_SIZE(words); what++) {
		struct clash clash = {
			"tcp", 2, change_run, what, { words[what][0], words[what][1] }
		};
		struct opener openers[2];

		must_clash(&clash, openers);
		must_say(&openers[0], "rank 1 (node1) did not connect", "");
		must_say(&openers[1], "rank 0 (node0) at 127.0.0.1", "");
	}
	part_release(&plain);
	part_release(&wide);
}

static int stranger(const struct cluster *c, const char *words, size_t length)
{
	struct iovec part = { (char *)(uintptr_t)words, length };
	struct error err;
	int fd;

	cluster_must(sock_connect(&fd, "127.0.0.1", c->peers[0].port, clock_now() + 60, &err),
		     &err);
	if (part.iov_len)
		assert_int_equal(sock_write(fd, &part, 1, &err), part.iov_len);
	return fd;
}

/* The other side has closed the connection. */
static void must_end(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	struct error err;
	char bytes[256];
	long got;

	do {
		assert_int_equal(poll(&wait, 1, 60000), 1);
		got = sock_read(fd, bytes, sizeof(bytes), &err);
	} while (got >= 0);
	close(fd);
}

static void strangers_are_refused_and_hold_nobody_up(void **state)
{
	enum { SILENT = 150 };
	static const char tls_like[] = "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
	struct cluster c = { .spec = "tcp", .world = 2, .timeout_s = 60 };
	struct opener openers[2];
	int silent[SILENT], loud[3], late;
	struct error err;

	(void)state;
	cluster_prepare(&c);
	opener_init(&openers[0], &c, 0);
	assert_int_equal(pthread_create(&openers[0].thread, NULL, opener_thread, &openers[0]), 0);
	loud[0] = stranger(&c, "GET / HTTP/1.1\r\n\r\n", 18);
	loud[1] = stranger(&c, tls_like, sizeof(tls_like) - 1);
	loud[2] = stranger(&c, "SSH-2.0-OpenSSH_9.2\r\n", 21);
	for (size_t i = 0; i < ARRAY_SIZE(loud); i++)
		must_end(loud[i]);
	for (int i = 0; i < SILENT; i++)
		silent[i] = stranger(&c, "\x16\x03\x01", i % 2 ? 0 : 3);
	must_end(silent[0]); /* made room for the later ones */
	opener_init(&openers[1], &c, 1);
	opener_run(&openers[1], 1);
	pthread_join(openers[0].thread, NULL);
	cluster_must(openers[1].net ? 0 : -1, &openers[1].err);
	cluster_must(openers[0].net ? 0 : -1, &openers[0].err);
	for (int i = 1; i < SILENT; i++)
		must_end(silent[i]); /* once all are here, nobody else has any business */
	assert_int_equal(sock_connect(&late, "127.0.0.1", c.peers[0].port, clock_now() + 60, &err),
			 -1);
	must_talk(openers[0].net, openers[1].net);
	net_close(openers[1].net);
	net_close(openers[0].net);
	cluster_release(&c);
}

static void a_peer_that_listens_but_does_not_answer_is_named(void **state)
{
	struct cluster c = { .spec = "tcp", .world = 2, .timeout_s = 0.2 };
	struct opener opener;

	(void)state;
	cluster_prepare(&c);
	opener_init(&opener, &c, 1);
	opener_run(&opener, 1);
	must_say(&opener, "no connection to rank 0 (node0) at 127.0.0.1, port ",
		 "within 0.2s: no answer");
	close(c.env[0].listener);
	cluster_release(&c);
}

static void a_peer_may_come_up_later(void **state)
{
	struct cluster c = { .spec = "tcp", .world = 2 };
	struct opener openers[2];
	struct error err;
	uint16_t port;

	(void)state;
	cluster_prepare(&c);
	port = c.peers[0].port;
	close(c.env[0].listener);
	opener_init(&openers[1], &c, 1);
	assert_int_equal(pthread_create(&openers[1].thread, NULL, opener_thread, &openers[1]), 0);
	clock_sleep(
		0.1); /* it is refused now; if this is too short, nothing is lost but the test */
	cluster_must(sock_listen(&c.env[0].listener, "127.0.0.1", &port, &err), &err);
	opener_init(&openers[0], &c, 0);
	opener_run(&openers[0], 1);
	pthread_join(openers[1].thread, NULL);
	cluster_must(openers[1].net ? 0 : -1, &openers[1].err);
	must_talk(openers[0].net, openers[1].net);
	net_close(openers[0].net);
	net_close(openers[1].net);
	cluster_release(&c);
}

/* Stands between rank 1 and rank 0, writes down what passes, and may change a byte of it. */
struct proxy {
	int listener;
	uint16_t port, target;
	struct buf seen;
	size_t flip_at; /* of what rank 1 says; 0: nothing */
	pthread_t thread;
};

/* Forwards what there is; -1 at the end. */
static int forward(struct proxy *proxy, int from, int to, bool flips)
{
	static const double patience_s = 60;
	double deadline = clock_now() + patience_s;
	unsigned char bytes[4096];
	struct error err;
	long got = sock_read(from, bytes, sizeof(bytes), &err), put = 0;

	if (got <= 0)
		return (int)got;
	if (flips && proxy->flip_at && proxy->seen.length + (size_t)got > proxy->flip_at) {
		bytes[got - 1] ^= 1;
		proxy->flip_at = 0;
	}
	buf_add(&proxy->seen, bytes, (size_t)got);
	while (put < got && clock_now() < deadline) {
		struct iovec part = { bytes + put, (size_t)(got - put) };
		struct pollfd room = { .fd = to, .events = POLLOUT };
		long more;

		poll(&room, 1, 1000);
		more = sock_write(to, &part, 1, &err);
		if (more < 0)
			return -1;
		put += more;
	}
	return 0;
}

static void *run_proxy(void *arg)
{
	struct proxy *proxy = arg;
	struct pollfd polls[2] = { { .fd = proxy->listener, .events = POLLIN } };
	struct error err;

	assert(poll(polls, 1, 60000) == 1);
	polls[0].fd = sock_accept(proxy->listener);
	cluster_must(sock_connect(&polls[1].fd, "127.0.0.1", proxy->target, clock_now() + 60, &err),
		     &err);
	polls[0].events = polls[1].events = POLLIN;
	while (poll(polls, 2, 10000) > 0)
		if ((polls[0].revents && forward(proxy, polls[0].fd, polls[1].fd, true) < 0) ||
		    (polls[1].revents && forward(proxy, polls[1].fd, polls[0].fd, false) < 0))
			break;
	close(polls[0].fd);
	close(polls[1].fd);
	close(proxy->listener);
	return NULL;
}

static void proxy_start(struct proxy *proxy, struct opener *dialler, struct net_peer *peers)
{
	struct error err;

	proxy->target = dialler->env.peers[0].port;
	cluster_must(sock_listen(&proxy->listener, "127.0.0.1", &proxy->port, &err), &err);
	peers[0] = dialler->env.peers[0];
	peers[1] = dialler->env.peers[1];
	peers[0].port = proxy->port;
	dialler->env.peers = peers;
	assert_int_equal(pthread_create(&proxy->thread, NULL, run_proxy, proxy), 0);
}

static bool holds(const struct buf *seen, const char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i + length <= seen->length; i++)
		if (memcmp(seen->data + i, text, length) == 0)
			return true;
	return false;
}

static void what_is_encrypted_or_of_one_host_cannot_be_read_on_the_way(void **state)
{
	static const char secret[] = "the weights of the model are worth a lot";
	static const struct {
		const char *spec;
		int slots;
		bool readable;
	} cases[] = { { "tcp", 1, false },
		      { "tcp encrypt=no", 1, true },
		      { "tcp encrypt=no", 2, false },
		      { "tcp encrypt=no shared_memory=no", 2, true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cluster c = { .spec = cases[i].spec, .world = 2, .slots = cases[i].slots };
		struct proxy proxy = { 0 };
		struct net_request requests[2];
		struct net_peer peers[2];
		struct opener openers[2];
		char got[sizeof(secret)];
		struct error err;

		cluster_prepare(&c);
		opener_init(&openers[0], &c, 0);
		opener_init(&openers[1], &c, 1);
		proxy_start(&proxy, &openers[1], peers);
		opener_run(openers, 2);
		cluster_must(openers[0].net ? 0 : -1, &openers[0].err);
		cluster_must(openers[1].net ? 0 : -1, &openers[1].err);
		net_post_recv(openers[0].net, 1, 1, got, sizeof(got), &requests[0]);
		net_post_send(openers[1].net, 0, 1, secret, sizeof(secret), &requests[1]);
		cluster_must(net_wait(openers[0].net, &requests[0], &err), &err);
		cluster_must(net_wait(openers[1].net, &requests[1], &err), &err);
		assert_string_equal(got, secret);
		net_close(openers[1].net);
		net_close(openers[0].net);
		pthread_join(proxy.thread, NULL);
		assert_true(proxy.seen.length > sizeof(secret));
		assert_int_equal(holds(&proxy.seen, secret), cases[i].readable);
		buf_release(&proxy.seen);
		cluster_release(&c);
	}
}

static void what_was_changed_on_the_way_is_not_taken(void **state)
{
	struct cluster c = { .spec = "tcp", .world = 2, .timeout_s = 30 };
	struct proxy proxy = { .flip_at = 4096 };
	struct net_request requests[2];
	struct net_peer peers[2];
	struct opener openers[2];
	char *block = xcalloc(1, 1 << 20);
	struct error err;

	(void)state;
	cluster_prepare(&c);
	opener_init(&openers[0], &c, 0);
	opener_init(&openers[1], &c, 1);
	proxy_start(&proxy, &openers[1], peers);
	opener_run(openers, 2);
	cluster_must(openers[0].net ? 0 : -1, &openers[0].err);
	net_post_recv(openers[0].net, 1, 1, block, 1 << 19, &requests[0]);
	net_post_send(openers[1].net, 0, 1, block + (1 << 19), 1 << 19, &requests[1]);
	assert_int_equal(net_wait(openers[0].net, &requests[0], &err), -1);
	assert_non_null(strstr(err.text, "lost rank 1 (node1): TLS failed"));
	net_wait(openers[1].net, &requests[1], &err);
	net_close(openers[0].net);
	net_close(openers[1].net);
	pthread_join(proxy.thread, NULL);
	buf_release(&proxy.seen);
	free(block);
	cluster_release(&c);
}

/* An impostor with the key. */
static void change_rank(struct cluster *c, struct opener *openers, int what)
{
	(void)what;
	openers[2].env.rank = 1;
	close(c->env[2].listener);
	openers[2].env.listener = -1;
}

static void a_rank_is_let_in_once(void **state)
{
	struct clash clash = { "tcp",
			       3,
			       change_rank,
			       0,
			       { "rank 1 is here already", "rank 2 (node2) did not connect",
				 "rank 2 (node2) did not connect" } };
	struct opener openers[3];

	(void)state;
	must_clash(&clash, openers);
	must_say(&openers[0], "rank 2 (node2) did not connect", "");
}

static void talk_body(int rank, struct net *net, void *arg)
{
	struct net_request requests[2];
	char in[4] = "", out[4] = "abc";
	struct error err;

	(void)arg;
	net_post_recv(net, 1 - rank, 1, in, 4, &requests[0]);
	net_post_send(net, 1 - rank, 1, out, 4, &requests[1]);
	cluster_must(net_wait_all(net, requests, 2, &err), &err);
	assert(strcmp(in, "abc") == 0);
	assert(net_bytes(net).header_sent > 0);
}

static void it_works_over_ipv6(void **state)
{
	struct cluster c = { .spec = "tcp", .world = 2, .address = "::1" };

	(void)state;
	cluster_go(&c, talk_body, NULL);
}

enum { STREAMS = 4, ROUNDS = 50, LENGTH = 100000 };

/* Everybody to everybody, through all streams at once; what has one tag keeps its order. */
static void streams_body(int rank, struct net *net, void *arg)
{
	struct net_request requests[2][3][STREAMS];
	uint32_t *out = xcalloc(LENGTH, sizeof(*out)), *in = xcalloc(LENGTH, sizeof(*in));
	uint32_t got[3][STREAMS];
	struct error err;

	(void)arg;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (int peer = 0; peer < 3; peer++) {
			for (int i = 0; i < STREAMS && peer != rank; i++) {
				net_post_recv(net, peer, NET_TAG_STREAM(UINT64_C(5), i),
					      &got[peer][i], 4, &requests[0][peer][i]);
				net_post_send(net, peer, NET_TAG_STREAM(UINT64_C(5), i), &round, 4,
					      &requests[1][peer][i]);
			}
		}
		for (int peer = 0; peer < 3; peer++) {
			for (int i = 0; i < STREAMS && peer != rank; i++) {
				assert(net_streams(net, peer) == STREAMS);
				cluster_must(net_wait(net, &requests[0][peer][i], &err), &err);
				cluster_must(net_wait(net, &requests[1][peer][i], &err), &err);
				assert(got[peer][i] == round);
			}
		}
	}
	for (int i = 0; i < 2; i++) { /* a long one, while a short one overtakes it elsewhere */
		int to = (rank + 1) % 3, from = (rank + 2) % 3;
		struct net_request *send = requests[0][0], *receive = requests[1][0];

		out[LENGTH - 1] = (uint32_t)i + 1;
		net_post_recv(net, from, NET_TAG_STREAM(UINT64_C(6), 1), in, LENGTH * 4, receive);
		net_post_recv(net, from, NET_TAG_STREAM(UINT64_C(6), 2), got, 4, receive + 1);
		net_post_send(net, to, NET_TAG_STREAM(UINT64_C(6), 1), out, LENGTH * 4, send);
		net_post_send(net, to, NET_TAG_STREAM(UINT64_C(6), 2), out, 4, send + 1);
		cluster_must(net_wait_all(net, receive, 2, &err), &err);
		cluster_must(net_wait_all(net, send, 2, &err), &err);
		assert(in[LENGTH - 1] == (uint32_t)i + 1);
	}
	free(out);
	free(in);
}

static void several_streams_carry_messages_side_by_side(void **state)
{
	(void)state;
	cluster_run("tcp shared_memory=no streams=4", 3, streams_body, NULL);
	cluster_run("tcp shared_memory=no streams=4 encrypt=no", 3, streams_body, NULL);
}

static void leaving_body(int rank, struct net *net, void *arg)
{
	struct net_request requests[STREAMS];
	struct error err;
	char byte;

	(void)arg;
	if (rank == 1)
		return;
	for (int i = 0; i < STREAMS; i++)
		net_post_recv(net, 1, NET_TAG_STREAM(UINT64_C(7), i), &byte, 1, &requests[i]);
	for (int i = 0; i < STREAMS; i++) {
		assert(net_wait(net, &requests[i], &err) < 0);
		assert(strcmp(err.text, "lost rank 1 (node1): connection closed") == 0);
	}
}

static void a_lost_stream_is_a_lost_peer(void **state)
{
	(void)state;
	cluster_run("tcp shared_memory=no streams=4", 2, leaving_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_key_is_refused_with_and_without_encryption),
		cmocka_unit_test(another_run_is_refused_by_what_differs),
		cmocka_unit_test(strangers_are_refused_and_hold_nobody_up),
		cmocka_unit_test(a_peer_that_listens_but_does_not_answer_is_named),
		cmocka_unit_test(a_peer_may_come_up_later),
		cmocka_unit_test(what_is_encrypted_or_of_one_host_cannot_be_read_on_the_way),
		cmocka_unit_test(what_was_changed_on_the_way_is_not_taken),
		cmocka_unit_test(a_rank_is_let_in_once),
		cmocka_unit_test(it_works_over_ipv6),
		cmocka_unit_test(several_streams_carry_messages_side_by_side),
		cmocka_unit_test(a_lost_stream_is_a_lost_peer),
	};

	log_level_set(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
