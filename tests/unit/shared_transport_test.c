/* Ranks of one host over tcp: what they share, who is missed when it is gone, and doing without. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/cluster.h"

enum { LONG = 1 << 20 };

/* Everybody sends to everybody, more than a pipe holds. */
static void exchange_all(struct net *net)
{
	struct net_request requests[2 * CLUSTER_MAX];
	unsigned char *in[CLUSTER_MAX], *out = xcalloc(1, LONG);
	int rank = net_rank(net);
	size_t count = 0;
	struct error err;

	memset(out, rank + 1, LONG);
	for (int peer = 0; peer < net_world(net); peer++) {
		in[peer] = xcalloc(1, LONG);
		if (peer == rank)
			continue;
		net_post_recv(net, peer, 7, in[peer], LONG, &requests[count++]);
		net_post_send(net, peer, 7, out, LONG, &requests[count++]);
	}
	cluster_must(net_wait_all(net, requests, count, &err), &err);
	for (int peer = 0; peer < net_world(net); peer++) {
		assert(peer == rank || (in[peer][0] == peer + 1 && in[peer][LONG - 1] == peer + 1));
		free(in[peer]);
	}
	free(out);
}

static void places_body(int rank, struct net *net, void *arg)
{
	const struct net_shared *shared = net_shared(net);
	int slots = *(int *)arg, first = rank / slots * slots, count = 0;

	exchange_all(net);
	for (int peer = first; peer < first + slots && peer < net_world(net); peer++, count++)
		assert(count == 0 || shared->places[peer] == count);
	assert((shared != NULL) == (count > 1));
	if (shared) {
		assert(shared->count == count && shared->places[first] == 0);
		for (int peer = 0; peer < net_world(net); peer++)
			assert((peer >= first && peer < first + count) ==
			       (shared->places[peer] >= 0));
		assert(shared->bytes[(size_t)(rank - first) * NET_PLACE_BYTES] == 0);
		shared->bytes[(size_t)(rank - first) * NET_PLACE_BYTES] = (unsigned char)(rank + 1);
	}
	exchange_all(net);
	for (int peer = first; shared && peer < first + count; peer++)
		assert(shared->bytes[(size_t)(peer - first) * NET_PLACE_BYTES] == peer + 1);
	exchange_all(net);
}

static void each_host_has_memory_of_its_own(void **state)
{
	(void)state;
	for (int slots = 1; slots <= 5; slots += 2) {
		struct cluster c = { .spec = "tcp", .world = 5, .slots = slots };

		cluster_go(&c, places_body, &slots);
	}
}

/* Ranks 0 and 1 share memory, and so do 2 and 3. */
static void streams_body(int rank, struct net *net, void *arg)
{
	struct net_request receives[4][4], sends[4][4];
	int got[4][4];
	struct error err;

	(void)arg;
	for (int peer = 0; peer < 4; peer++) {
		assert(peer == rank || net_streams(net, peer) == (peer / 2 == rank / 2 ? 1 : 4));
		for (int i = 0; i < 4 && peer != rank; i++) {
			net_post_recv(net, peer, NET_TAG_STREAM(UINT64_C(5), i), &got[peer][i],
				      sizeof(rank), &receives[peer][i]);
			net_post_send(net, peer, NET_TAG_STREAM(UINT64_C(5), i), &rank,
				      sizeof(rank), &sends[peer][i]);
		}
	}
	for (int peer = 0; peer < 4; peer++) {
		for (int i = 0; i < 4 && peer != rank; i++) {
			cluster_must(net_wait(net, &receives[peer][i], &err), &err);
			cluster_must(net_wait(net, &sends[peer][i], &err), &err);
			assert(got[peer][i] == peer);
		}
	}
}

static void who_shares_memory_needs_one_stream_and_takes_tags_of_all(void **state)
{
	struct cluster c = { .spec = "tcp streams=4", .world = 4, .slots = 2 };

	(void)state;
	cluster_go(&c, streams_body, NULL);
}

static void alone_body(int rank, struct net *net, void *arg)
{
	(void)rank;
	(void)arg;
	assert(!net_shared(net));
	exchange_all(net);
}

static void who_cannot_or_may_not_share_uses_tcp(void **state)
{
	struct cluster c = { .spec = "tcp", .world = 4, .slots = 4 };
	struct cluster forbidden = { .spec = "tcp shared_memory=no", .world = 4, .slots = 4 };
	struct rlimit limit, small;

	(void)state;
	cluster_go(&forbidden, alone_body, NULL);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 1 << 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	cluster_go(&c, alone_body, NULL);
	setrlimit(RLIMIT_FSIZE, &limit);
}

/* A process of its own, with a rank that says one word and is never heard of again. */
static pid_t start_doomed(const struct cluster *c, int rank)
{
	struct net_request request;
	struct error err;
	struct net *net;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	close(c->env[1 - rank].listener);
	net = net_open(&c->part, &c->env[rank], &err);
	cluster_must(net ? 0 : -1, &err);
	net_post_send(net, 1 - rank, 1, "word", 4, &request);
	cluster_must(net_wait(net, &request, &err), &err);
	for (;;)
		pause();
}

static void a_killed_peer_is_missed_at_once_and_what_it_said_before_is_kept(void **state)
{
	(void)state;
	for (int doomed = 0; doomed < 2; doomed++) {
		struct cluster c = { .spec = "tcp", .world = 2, .slots = 2 };
		struct net_request requests[2];
		char got[4], *much = xcalloc(1, LONG);
		struct error err;
		struct net *net;
		double start;
		pid_t pid;

		cluster_prepare(&c);
		pid = start_doomed(&c, doomed);
		close(c.env[doomed].listener);
		net = net_open(&c.part, &c.env[1 - doomed], &err);
		cluster_must(net ? 0 : -1, &err);
		assert_non_null(net_shared(net));
		assert_int_equal(net_check(net, doomed, &err), 0);
		net_post_recv(net, doomed, 1, got, 4, &requests[0]);
		cluster_must(net_wait(net, &requests[0], &err), &err);
		assert_memory_equal(got, "word", 4);
		/* The peer reads nothing, so that the pipe is full in the end. */
		net_post_recv(net, doomed, 2, got, 4, &requests[0]);
		kill(pid, SIGSTOP);
		net_post_send(net, doomed, 3, much, LONG, &requests[1]);
		start = clock_now();
		kill(pid, SIGKILL);
		assert_int_equal(net_wait(net, &requests[0], &err), -1);
		assert_non_null(
			strstr(err.text, doomed ? "lost rank 1 (node0)" : "lost rank 0 (node0)"));
		assert_int_equal(net_wait(net, &requests[1], &err), -1);
		assert_true(clock_now() - start < 20);
		assert_int_equal(net_check(net, doomed, &err), -1);
		assert_non_null(strstr(err.text, "lost rank"));
		net_close(net);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		free(much);
		cluster_release(&c);
	}
}

/* The progress thread does it: nobody waits for a message. */
static void a_loss_is_noticed_while_nobody_waits(void **state)
{
	struct cluster c = { .spec = "tcp", .world = 2, .slots = 2 };
	struct error err = { "" };
	struct net *net;
	double start;
	pid_t pid;

	(void)state;
	cluster_prepare(&c);
	pid = start_doomed(&c, 1);
	close(c.env[1].listener);
	net = net_open(&c.part, &c.env[0], &err);
	cluster_must(net ? 0 : -1, &err);
	assert_int_equal(net_check(net, 1, &err), 0);
	kill(pid, SIGKILL);
	start = clock_now();
	while (net_check(net, 1, &err) == 0 && clock_now() - start < 30)
		clock_sleep(1e-3);
	assert_true(clock_now() - start < 20);
	assert_non_null(strstr(err.text, "lost rank 1 (node0)"));
	net_close(net);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	cluster_release(&c);
}

static void abort_body(int rank, struct net *net, void *arg)
{
	struct error err = { "" };

	(void)arg;
	exchange_all(net);
	net_abort(net, "enough of this");
	assert(net_check(net, 1 - rank, &err) < 0 && strcmp(err.text, "enough of this") == 0);
}

static void an_abort_is_seen_by_check(void **state)
{
	struct cluster c = { .spec = "tcp", .world = 2, .slots = 2 };
	struct cluster threads = { .spec = "inproc", .world = 2 };

	(void)state;
	cluster_go(&c, abort_body, NULL);
	cluster_go(&threads, abort_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_peer_is_missed_at_once_and_what_it_said_before_is_kept),
		cmocka_unit_test(a_loss_is_noticed_while_nobody_waits),
		cmocka_unit_test(each_host_has_memory_of_its_own),
		cmocka_unit_test(who_shares_memory_needs_one_stream_and_takes_tags_of_all),
		cmocka_unit_test(who_cannot_or_may_not_share_uses_tcp),
		cmocka_unit_test(an_abort_is_seen_by_check),
	};

	log_level_set(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
