/* What every transport does with messages that are longer or shorter than their receives. */
#include "tests/unit/unit.h"

#include "tests/unit/messages.h"

static void length_body(int rank, struct net *net, void *arg)
{
	struct net_request early, late;
	char text[8] = "1234567";

	(void)arg;
	if (rank == 0) {
		net_post_recv(net, 1, 1, text, 5, &early);
		barrier(net);
		must_fail(net, &early, "rank 1 (node", "7 bytes, expected were 5");
		assert(strcmp(text, "1234567") == 0);
		receive_now(net, 1, 3, text, 1); /* the other one is there now */
		net_post_recv(net, 1, 2, text, 4, &late);
		must_fail(net, &late, "rank 1 (node", "3 bytes, expected were 4");
		assert(strcmp(text, "x234567") == 0);
	} else {
		barrier(net);
		send_now(net, 0, 1, "abcdefg", 7);
		send_now(net, 0, 2, "abc", 3);
		send_now(net, 0, 3, "x", 1);
	}
	barrier(net);
}

static void a_message_of_another_length_is_an_error(void **state)
{
	(void)state;
	run_every(2, 0, length_body, NULL);
}

/* Shorter than its receive, of its length, none, too long; posted before it comes, or after. */
static void up_to_body(int rank, struct net *net, void *arg)
{
	static const size_t lengths[] = { 5, 70000, 0, 70001 };
	static unsigned char bytes[CLUSTER_MAX][70001];
	struct net_request requests[2][ARRAY_SIZE(lengths)];

	(void)arg;
	memset(bytes[rank], rank ? 'x' : '-', sizeof(bytes[rank]));
	for (size_t i = 0; i < ARRAY_SIZE(lengths) && rank == 0; i++)
		net_post_recv_up_to(net, 1, i, bytes[0], 70000, &requests[0][i]);
	barrier(net);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(lengths) && rank == 1; i++)
		send_now(net, 0, i, bytes[1], lengths[i % ARRAY_SIZE(lengths)]);
	barrier(net);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(lengths) && rank == 0; i++) {
		size_t length = lengths[i % ARRAY_SIZE(lengths)];
		struct net_request *request = requests[i / ARRAY_SIZE(lengths)] + i % 4;
		struct error err;

		if (i >= ARRAY_SIZE(lengths)) {
			memset(bytes[0], '-', sizeof(bytes[0]));
			net_post_recv_up_to(net, 1, i, bytes[0], 70000, request);
		}
		if (length > 70000) {
			must_fail(net, request, "rank 1 (node",
				  "70001 bytes, expected were at most 70000");
			continue;
		}
		cluster_must(net_wait(net, request, &err), &err);
		assert(net_received(request) == length);
		if (i >= ARRAY_SIZE(lengths))
			assert(bytes[0][length] == '-' &&
			       (length == 0 || bytes[0][length - 1] == 'x'));
	}
	if (rank == 0)
		assert(net_bytes(net).payload_received == 2 * (70000 + 5));
	barrier(net);
}

static void a_message_may_be_shorter_than_its_receive_where_that_is_said(void **state)
{
	(void)state;
	run_every(2, 0, up_to_body, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_of_another_length_is_an_error),
		cmocka_unit_test(a_message_may_be_shorter_than_its_receive_where_that_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
