/*
 * What messages cost on the paths of a group. All members send to their right at once, as in a
 * ring: what they share, such as the processor of one host, is measured as it will be used.
 */
#include "runtime/coll_measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/units.h"
#include "runtime/coll_channel.h"
#include "runtime/coll_flow.h"
#include "runtime/transport/transport.h"

enum {
	TRIES = 4,	   /* the best one counts: the others met something else */
	BURST = 8,	   /* messages at once */
	FIRST = 4 << 10,   /* bytes of the first message that is not small */
	LARGEST = 1 << 18, /* and of the last */
	GROWTH = 8
};
static const double ENOUGH_S = 2e-3; /* a message that takes as long shows the rate */

struct measurement {
	struct net *net;
	const struct group *group;
	unsigned char *sent, *received; /* LARGEST */
};

/* Seconds that `count` messages of `bytes` take from each member to the next. */
static int shift(struct measurement *m, size_t count, size_t bytes, double *seconds,
		 struct error *err)
{
	struct coll_call call = { .group = m->group, .kind = COLL_MEASURE };
	struct net_request requests[2 * BURST];
	const struct group *group = m->group;
	int right = group->ranks[(group->index + 1) % group->count];
	int left = group->ranks[(group->index + group->count - 1) % group->count];
	double begin = clock_now();

	for (size_t i = 0; i < count; i++)
		net_post_recv(m->net, left, coll_tag(&call), m->received + i * bytes, bytes,
			      &requests[i]);
	for (size_t i = 0; i < count; i++)
		net_post_send(m->net, right, coll_tag(&call), m->sent, bytes, &requests[count + i]);
	if (coll_wait(m->net, requests, 2 * count, err) < 0)
		return -1;
	*seconds = clock_now() - begin;
	return 0;
}

/* The largest of all members' numbers: a sum of vectors in which each has a place of its own. */
static int greatest(struct measurement *m, double *number, struct error *err)
{
	float *all = xcalloc((size_t)m->group->count, sizeof(*all));
	int status;

	all[m->group->index] = (float)*number;
	status = coll_allreduce(m->net, m->group, COLL_FLAT, all, (size_t)m->group->count, err);
	*number = 0;
	for (int i = 0; i < m->group->count; i++)
		*number = fmax(*number, (double)all[i]);
	free(all);
	return status;
}

/* The best of some tries, of the member that is worst off. */
static int best(struct measurement *m, size_t count, size_t bytes, int tries, double *seconds,
		struct error *err)
{
	double took;

	*seconds = INFINITY;
	for (int i = 0; i < tries; i++) {
		if (shift(m, count, bytes, &took, err) < 0)
			return -1;
		*seconds = fmin(*seconds, took);
	}
	return greatest(m, seconds, err);
}

static int measure(struct measurement *m, struct coll_cost *cost, struct error *err)
{
	double one, many, large;
	size_t bytes = FIRST;

	/* The first message meets cold caches and a sleeping peer. */
	if (best(m, 1, sizeof(float), 1, &one, err) < 0 ||
	    best(m, 1, sizeof(float), TRIES, &one, err) < 0 ||
	    best(m, BURST, sizeof(float), TRIES, &many, err) < 0 ||
	    best(m, 1, bytes, 2, &large, err) < 0)
		return -1;
	while (large < ENOUGH_S && bytes * GROWTH <= LARGEST) {
		bytes *= GROWTH;
		if (best(m, 1, bytes, 2, &large, err) < 0)
			return -1;
	}
	cost->alpha_s = one;
	cost->message_s = fmin(fmax(many - one, 0) / (BURST - 1), one);
	cost->beta_s = fmax(large - one, 1e-9) / (double)bytes;
	return 0;
}

static bool is_one_host(const struct net *net, const struct group *group)
{
	const char *first = net_host(net, group->ranks[0]);

	for (int i = 1; i < group->count; i++)
		if (strcmp(net_host(net, group->ranks[i]), first) != 0)
			return false;
	return true;
}

/* The largest size, in powers of two, for which an algorithm is chosen; 0: none. */
static size_t limit(const struct coll_cost *cost, int n, enum coll_algorithm algorithm)
{
	size_t last = 0;

	for (size_t bytes = sizeof(float); bytes <= (size_t)1 << 30; bytes *= 2)
		if (coll_cost_best(cost, n, bytes) == algorithm)
			last = bytes;
	return last;
}

static void report(const struct coll_cost *cost, int n)
{
	char rate[32], flat[32], direct[32];

	log_debug("a message takes %.0f us, and its bytes %s: allreduce is flat up to %s, direct "
		  "up to %s, then a ring",
		  cost->alpha_s * 1e6, units_show_rate(rate, sizeof(rate), 1 / cost->beta_s),
		  units_show_bytes(flat, sizeof(flat), (double)limit(cost, n, COLL_FLAT)),
		  units_show_bytes(direct, sizeof(direct), (double)limit(cost, n, COLL_DIRECT)));
}

int coll_measure(struct net *net, struct group *group, struct coll_cost *cost, struct error *err)
{
	struct measurement m = { .net = net, .group = group };
	int status;

	*cost = coll_cost_default;
	group->cost = cost;
	if (group->count == 1 || coll_channel_serves(net, group))
		return 0;

	m.sent = xcalloc(1, LARGEST);
	m.received = xmalloc(LARGEST);
	status = measure(&m, cost, err);
	cost->one_host = is_one_host(net, group);
	free(m.sent);
	free(m.received);
	if (status == 0 && group->index == 0)
		report(cost, group->count);
	return status;
}
