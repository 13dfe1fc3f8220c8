/* Messages between the ranks of a test, one at a time. */
#ifndef DSTRAIN_TESTS_MESSAGES_H
#define DSTRAIN_TESTS_MESSAGES_H

#include "tests/unit/cluster.h"

static inline void send_now(struct net *net, int peer, uint64_t tag, const void *bytes,
			    size_t length)
{
	struct net_request request;
	struct error err;

	net_post_send(net, peer, tag, bytes, length, &request);
	cluster_must(net_wait(net, &request, &err), &err);
}

static inline void receive_now(struct net *net, int peer, uint64_t tag, void *bytes, size_t length)
{
	struct net_request request;
	struct error err;

	net_post_recv(net, peer, tag, bytes, length, &request);
	cluster_must(net_wait(net, &request, &err), &err);
}

/* Every transport; and emulated links, which keep all its promises. */
static inline void run_every(int world, double timeout_s, cluster_body *body, void *arg)
{
	cluster_run_every(world, timeout_s, body, arg);
	cluster_run_emulated(world, timeout_s, body, arg);
}

/* Nobody leaves before all have come. */
static inline void barrier(struct net *net)
{
	const uint64_t tag = 999;

	for (int peer = 1; peer < net_world(net) && net_rank(net) == 0; peer++)
		receive_now(net, peer, tag, NULL, 0);
	for (int peer = 1; peer < net_world(net) && net_rank(net) == 0; peer++)
		send_now(net, peer, tag, NULL, 0);
	if (net_rank(net) != 0) {
		send_now(net, 0, tag, NULL, 0);
		receive_now(net, 0, tag, NULL, 0);
	}
}

/* Fails with a message that has all of the given words in it. */
static inline void must_fail(struct net *net, struct net_request *request, const char *one,
			     const char *two)
{
	struct error err = { "" };

	assert(net_wait(net, request, &err) < 0);
	if (!strstr(err.text, one) || !strstr(err.text, two)) {
		fprintf(stderr, "'%s' lacks '%s' or '%s'\n", err.text, one, two);
		abort();
	}
}

#endif
