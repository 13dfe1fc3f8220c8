/* What every transport of the registry must do. */
#include "tests/unit/unit.h"

#include <stdatomic.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/unit/messages.h"

#define TELL NET_TAG_UNSOLICITED

static void ping_body(int rank, struct net *net, void *arg)
{
	struct net_request requests[2 * CLUSTER_MAX];
	int got[CLUSTER_MAX] = { 0 };
	size_t count = 0;
	struct error err;

	(void)arg;
	assert(net_rank(net) == rank && strcmp(net_host(net, 0), "node0") == 0);
	for (int peer = 0; peer < net_world(net); peer++) {
		if (peer == rank)
			continue;
		net_post_recv(net, peer, 7, &got[peer], sizeof(int), &requests[count++]);
		net_post_send(net, peer, 7, &rank, sizeof(int), &requests[count++]);
	}
	cluster_must(net_wait_all(net, requests, count, &err), &err);
	for (int peer = 0; peer < net_world(net); peer++)
		assert(peer == rank || got[peer] == peer);
}

static void all_pairs_talk(void **state)
{
	struct cluster mixed = { .spec = "tcp", .world = 5, .slots = 2 };

	(void)state;
	run_every(5, 0, ping_body, NULL);
	run_every(1, 0, ping_body, NULL);
	cluster_go(&mixed, ping_body, NULL);
}

enum { MANY = 200 };

static void order_body(int rank, struct net *net, void *arg)
{
	struct net_request requests[MANY];
	uint32_t numbers[MANY];
	struct error err;

	(void)arg;
	for (uint32_t i = 0; i < MANY; i++) {
		numbers[i] = rank == 0 ? i : 0;
		if (rank == 0)
			net_post_send(net, 1, i % 2, &numbers[i], 4, &requests[i]);
	}
	/* The even ones first, though the odd ones came between them. */
	for (uint32_t half = 0; half < 2 && rank == 1; half++)
		for (uint32_t i = half; i < MANY; i += 2)
			net_post_recv(net, 0, half, &numbers[i], 4, &requests[i]);
	cluster_must(net_wait_all(net, requests, MANY, &err), &err);
	for (uint32_t i = 0; i < MANY; i++)
		assert(numbers[i] == i);
}

static void messages_with_one_tag_keep_their_order(void **state)
{
	(void)state;
	run_every(2, 0, order_body, NULL);
}

static void tags_body(int rank, struct net *net, void *arg)
{
	(void)arg;
	if (rank == 0) {
		for (uint64_t tag = 0; tag < 50; tag++)
			send_now(net, 1, tag, &tag, sizeof(tag));
		barrier(net);
		return;
	}
	for (uint64_t tag = 49; tag < 50; tag--) {
		uint64_t got = 0;

		receive_now(net, 0, tag, &got, sizeof(got));
		assert(got == tag);
	}
	barrier(net);
}

static void tags_are_received_in_any_order(void **state)
{
	(void)state;
	run_every(2, 0, tags_body, NULL);
}

/* Bytes that tell where they belong. */
static unsigned char *pattern(size_t length, unsigned char seed)
{
	unsigned char *bytes = xmalloc(length);

	for (size_t done = 0; done < length;) {
		size_t more = done < length - done ? done : length - done;

		if (done < 251)
			bytes[done] = (unsigned char)(seed + done * 31);
		else
			memcpy(bytes + done, bytes, more);
		done += done < 251 ? 1 : more;
	}
	return bytes;
}

static void sizes_body(int rank, struct net *net, void *arg)
{
	static const size_t sizes[] = { 0, 1, 23, 16383, 16384, 16385, 1 << 20, 16 << 20, 0, 5 };
	int peer = 1 - rank;

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned char *out = pattern(sizes[i], (unsigned char)(i + (size_t)rank));
		unsigned char *expected = pattern(sizes[i], (unsigned char)(i + (size_t)peer));
		unsigned char *in = xcalloc(1, sizes[i]);
		struct net_request requests[2];
		struct error err;

		/* One side has posted its receive early, the other side may be surprised. */
		if (rank == 0)
			net_post_recv(net, peer, i, in, sizes[i], &requests[0]);
		net_post_send(net, peer, i, out, sizes[i], &requests[1]);
		cluster_must(net_wait(net, &requests[1], &err), &err);
		if (rank == 1)
			net_post_recv(net, peer, i, in, sizes[i], &requests[0]);
		cluster_must(net_wait(net, &requests[0], &err), &err);
		assert(memcmp(in, expected, sizes[i]) == 0);
		free(out);
		free(expected);
		free(in);
	}
}

static void messages_of_any_size_arrive_whole(void **state)
{
	(void)state;
	run_every(2, 0, sizes_body, NULL);
}

static void bytes_body(int rank, struct net *net, void *arg)
{
	char text[1000] = { 0 };

	(void)arg;
	if (rank == 0) {
		send_now(net, 1, 1, text, 1000);
		send_now(net, 1, 1, text, 0);
		send_now(net, 1, 2, text, 234);
		assert(net_bytes(net).payload_sent == 1234 && net_payload_sent(net) == 1234);
	} else {
		receive_now(net, 0, 1, text, 1000);
		receive_now(net, 0, 2, text, 234);
		receive_now(net, 0, 1, text, 0);
	}
	barrier(net);
	assert(net_bytes(net).payload_received == (rank == 1 ? 1234 : 0));
	assert(net_bytes(net).payload_sent == (rank == 1 ? 0 : 1234));
}

static void payload_is_counted_to_the_byte(void **state)
{
	(void)state;
	run_every(2, 0, bytes_body, NULL);
}

/* What a handler got. */
struct inbox {
	atomic_int count, wrong;
	_Atomic uint64_t next[CLUSTER_MAX];
	struct net *net; /* to answer, or NULL */
};

static void keep_order(void *arg, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct inbox *inbox = arg;
	uint64_t number = 0;
	struct error err;

	if (length == sizeof(number))
		memcpy(&number, bytes, sizeof(number));
	if (tag != TELL + 3 || number != inbox->next[peer]++)
		inbox->wrong++;
	inbox->count++;
	if (inbox->net)
		cluster_must(net_tell(inbox->net, peer, tag, bytes, length, &err), &err);
}

static void tell_body(int rank, struct net *net, void *arg)
{
	double deadline = clock_now() + 60;
	struct inbox inbox = { .net = rank == 0 ? net : NULL };
	int expected = rank == 0 ? MANY * (net_world(net) - 1) : MANY;
	struct error err;

	(void)arg;
	net_serve(net, keep_order, &inbox);
	barrier(net);
	for (uint64_t i = 0; i < MANY && rank != 0; i++)
		cluster_must(net_tell(net, 0, TELL + 3, &i, sizeof(i), &err), &err);
	while (inbox.count < expected && clock_now() < deadline)
		clock_sleep(1e-3);
	assert(inbox.count == expected && inbox.wrong == 0);
	barrier(net);
	net_serve(net, NULL, NULL);
}

static void unsolicited_messages_go_to_the_handler_which_may_answer(void **state)
{
	(void)state;
	run_every(3, 0, tell_body, NULL);
}

static void timeout_body(int rank, struct net *net, void *arg)
{
	struct net_request request;
	char text[4] = "abc";
	struct error err;

	(void)arg;
	if (rank == 1) {
		do { /* the other rank's deadline passes first, and then ours may too */
			net_post_recv(net, 0, 2, NULL, 0, &request);
		} while (net_wait(net, &request, &err) < 0);
		send_now(net, 0, 1, "xyz", 3);
		send_now(net, 0, 3, NULL, 0);
		return;
	}
	net_post_recv(net, 1, 1, text, 3, &request);
	must_fail(net, &request, "rank 1 (node", "within");
	send_now(net, 1, 2, NULL, 0);
	do { /* on a busy machine the answer may take longer than that */
		net_post_recv(net, 1, 3, NULL, 0, &request);
	} while (net_wait(net, &request, &err) < 0);
	assert(strcmp(text, "abc") == 0); /* no longer posted: left alone */
	receive_now(net, 1, 1, text, 3);
	assert(strcmp(text, "xyz") == 0);
}

static void a_wait_ends_at_the_deadline_and_takes_the_request_back(void **state)
{
	(void)state;
	run_every(2, 1.2, timeout_body, NULL);
}

static void *abort_later(void *arg)
{
	clock_sleep(0.05);
	net_abort(arg, "rank 7 was lost");
	net_abort(arg, "something else");
	return NULL;
}

static void abort_body(int rank, struct net *net, void *arg)
{
	struct net_request requests[2];
	double start = clock_now();
	struct error err;
	pthread_t thread;
	char text[4];

	assert(pthread_create(&thread, NULL, abort_later, net) == 0);
	net_post_recv(net, 1 - rank, 1, text, 4, &requests[0]);
	net_post_recv(net, 1 - rank, 2, text, 4, &requests[1]);
	assert(net_wait_all(net, requests, 2, &err) < 0);
	assert(strcmp(err.text, "rank 7 was lost") == 0);
	assert(clock_now() - start < 30);
	pthread_join(thread, NULL);
	net_post_send(net, 1 - rank, 1, "abc", 4, &requests[0]);
	must_fail(net, &requests[0], "rank 7 was lost", "");
	pthread_barrier_wait(arg); /* the peer's own abort has to come before our end */
}

static void an_abort_ends_every_wait_at_once(void **state)
{
	pthread_barrier_t both;

	(void)state;
	pthread_barrier_init(&both, NULL, 2);
	run_every(2, 0, abort_body, &both);
	pthread_barrier_destroy(&both);
}

static void lost_body(int rank, struct net *net, void *arg)
{
	struct net_request requests[3];
	struct error err;
	char text[4] = "";

	(void)arg;
	if (rank == 1) {
		send_now(net, 0, 5, "bye", 4);
		return;
	}
	if (rank == 0) {
		net_post_recv(net, 1, 1, text, 4, &requests[0]);
		net_post_recv(net, 1, 2, text, 4, &requests[1]);
		must_fail(net, &requests[0], "lost rank 1 (node", "closed");
		must_fail(net, &requests[1], "lost rank 1 (node", "closed");
		receive_now(net, 1, 5, text, 4); /* came before the end */
		assert(strcmp(text, "bye") == 0);
		net_post_recv(net, 1, 5, text, 4, &requests[0]);
		must_fail(net, &requests[0], "lost rank 1 (node", "closed");
		net_post_send(net, 1, 5, text, 4, &requests[0]);
		must_fail(net, &requests[0], "lost rank 1 (node", "closed");
		cluster_must(net_tell(net, 1, TELL, text, 4, &err), &err);
		send_now(net, 2, 6, "yes", 4); /* the others go on */
	} else {
		receive_now(net, 0, 6, text, 4);
		assert(strcmp(text, "yes") == 0);
	}
}

static void a_closed_peer_fails_its_requests_by_name_and_no_others(void **state)
{
	(void)state;
	run_every(3, 0, lost_body, NULL);
}

static void count_bytes(void *arg, int peer, uint64_t tag, const void *bytes, size_t length)
{
	atomic_size_t *sum = arg;

	(void)peer, (void)tag, (void)bytes;
	*sum += length;
}

static void leave_body(int rank, struct net *net, void *arg)
{
	const size_t length = 2 << 20;
	char *block = xcalloc(1, length);
	double deadline = clock_now() + 60;
	atomic_size_t told = 0;
	struct error err;

	(void)arg;
	if (rank == 0) {
		struct net_request requests[2];

		receive_now(net, 1, 3, NULL, 0);
		memset(block, 'x', length);
		net_post_send(net, 1, 1, block, length, &requests[0]);
		net_post_send(net, 1, 2, block, length, &requests[1]);
		cluster_must(net_wait_all(net, requests, 2, &err), &err);
		cluster_must(net_tell(net, 1, TELL, block, length, &err), &err);
	} else {
		net_serve(net, count_bytes, &told);
		send_now(net, 0, 3, NULL, 0);
		receive_now(net, 0, 2, block, length);
		assert(block[0] == 'x' && block[length - 1] == 'x');
		memset(block, 0, length);
		receive_now(net, 0, 1, block, length);
		assert(block[0] == 'x' && block[length - 1] == 'x');
		while (told < length && clock_now() < deadline)
			clock_sleep(1e-3);
		assert(told == length);
		net_serve(net, NULL, NULL);
	}
	free(block);
}

static void a_rank_that_leaves_early_takes_nothing_with_it(void **state)
{
	(void)state;
	run_every(2, 0, leave_body, NULL);
}

static void fault_body(int rank, struct net *net, void *arg)
{
	struct net_request request;
	struct error err;
	double start;
	char text[4];

	(void)arg;
	if (rank == 1) {
		for (int i = 0; i < 2; i++)
			receive_now(net, 0, 1, text, 4);
		return;
	}
	net_inject(net, (struct net_fault){ .fail_after = 3, .delay_s = 0.03 });
	start = clock_now();
	send_now(net, 1, 1, "abc", 4);
	send_now(net, 1, 1, "abc", 4);
	assert(clock_now() - start >= 0.06);
	net_post_send(net, 1, 1, "abc", 4, &request);
	must_fail(net, &request, "injected fault", "");
	assert(net_tell(net, 1, TELL, "abc", 4, &err) < 0);
}

static void injected_faults_fail_and_delay_messages(void **state)
{
	(void)state;
	run_every(2, 0, fault_body, NULL);
}

/* Several threads of a rank at once, each with its own tag, in both directions. */
struct lane {
	struct net *net;
	uint64_t tag;
	pthread_t thread;
};

static void *use_lane(void *arg)
{
	struct lane *lane = arg;
	int peer = 1 - net_rank(lane->net);
	uint64_t in[512], out[512];

	for (uint64_t i = 0; i < 100; i++) {
		struct net_request requests[2];
		struct error err;

		out[0] = out[511] = lane->tag * 1000 + i;
		net_post_send(lane->net, peer, lane->tag, out, sizeof(out), &requests[0]);
		net_post_recv(lane->net, peer, lane->tag, in, sizeof(in), &requests[1]);
		cluster_must(net_wait_all(lane->net, requests, 2, &err), &err);
		assert(in[0] == out[0] && in[511] == out[0]);
	}
	return NULL;
}

static void lanes_body(int rank, struct net *net, void *arg)
{
	struct lane lanes[4];

	(void)rank;
	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(lanes); i++) {
		lanes[i] = (struct lane){ .net = net, .tag = i };
		assert(pthread_create(&lanes[i].thread, NULL, use_lane, &lanes[i]) == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lanes); i++)
		pthread_join(lanes[i].thread, NULL);
}

static void threads_of_one_rank_share_a_net(void **state)
{
	(void)state;
	run_every(2, 0, lanes_body, NULL);
}

static void a_missing_peer_fails_the_opening_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; transports.entries[i]; i++) {
		struct cluster c = { .spec = transports.entries[i]->name,
				     .world = 2,
				     .timeout_s = 0.3 };
		struct error err;

		cluster_prepare(&c);
		assert_null(net_open(&c.part, &c.env[1], &err));
		assert_non_null(strstr(err.text, "rank 0 (node0)"));
		if (c.env[0].listener >= 0)
			close(c.env[0].listener);
		cluster_release(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_pairs_talk),
		cmocka_unit_test(messages_with_one_tag_keep_their_order),
		cmocka_unit_test(tags_are_received_in_any_order),
		cmocka_unit_test(messages_of_any_size_arrive_whole),
		cmocka_unit_test(payload_is_counted_to_the_byte),
		cmocka_unit_test(unsolicited_messages_go_to_the_handler_which_may_answer),
		cmocka_unit_test(a_wait_ends_at_the_deadline_and_takes_the_request_back),
		cmocka_unit_test(an_abort_ends_every_wait_at_once),
		cmocka_unit_test(a_closed_peer_fails_its_requests_by_name_and_no_others),
		cmocka_unit_test(a_rank_that_leaves_early_takes_nothing_with_it),
		cmocka_unit_test(injected_faults_fail_and_delay_messages),
		cmocka_unit_test(threads_of_one_rank_share_a_net),
		cmocka_unit_test(a_missing_peer_fails_the_opening_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
