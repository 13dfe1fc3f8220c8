/*
 * Allreduce without a ring: n - 1 messages at once instead of one after the other. Thakur,
 * Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH" (2005),
 * call the halves of `direct` pairwise exchange; here no pair waits for another.
 */
#include "runtime/coll_direct.h"

#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/coll.h"
#include "runtime/coll_flow.h"
#include "runtime/device/cpu.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

/* Messages under way, and where those of others arrive: n - 1 vectors of `width` floats. */
struct traffic {
	const struct coll_call *call;
	struct net_request *requests;
	size_t posted;
	float *arrivals;
	size_t width;
};

static struct traffic begin(const struct coll_call *call, size_t width)
{
	size_t others = (size_t)call->group->count - 1;

	return (struct traffic){ .call = call,
				 .requests = xcalloc(2 * others, sizeof(struct net_request)),
				 .arrivals = xmalloc(others * width * sizeof(float)),
				 .width = width };
}

static void end(struct traffic *traffic)
{
	free(traffic->requests);
	free(traffic->arrivals);
}

/* The member i places after this one, i from 1. */
static int member(const struct traffic *traffic, int i)
{
	return (traffic->call->group->index + i) % traffic->call->group->count;
}

static float *arrival(const struct traffic *traffic, int i)
{
	return traffic->arrivals + (size_t)(i - 1) * traffic->width;
}

static void post_receive(struct traffic *traffic, int i, float *x, size_t count)
{
	const struct coll_call *call = traffic->call;

	net_post_recv(call->net, call->group->ranks[member(traffic, i)], coll_tag(call), x,
		      count * sizeof(*x), &traffic->requests[traffic->posted++]);
}

static void post_send(struct traffic *traffic, int i, const float *x, size_t count)
{
	const struct coll_call *call = traffic->call;

	net_post_send(call->net, call->group->ranks[member(traffic, i)], coll_tag(call), x,
		      count * sizeof(*x), &traffic->requests[traffic->posted++]);
}

static int wait_all(struct traffic *traffic, struct error *err)
{
	size_t posted = traffic->posted;

	traffic->posted = 0;
	return coll_wait(traffic->call->net, traffic->requests, posted, err);
}

/* Adds what arrived to x, which is slice `slice` of this rank's vector, in the ring's order: from
 * the slice's next member round to its owner. `skip`: where the slice lies in what arrived. */
static void sum_slice(struct traffic *traffic, int slice, size_t skip, float *x, size_t count,
		      const float **addends)
{
	int n = traffic->call->group->count;

	for (int k = 0; k < n; k++) {
		int from = (slice + 1 + k - traffic->call->group->index + n) % n;

		addends[k] = from == 0 ? x : arrival(traffic, from) + skip;
	}
	cpu_sum(x, addends, (size_t)n, count);
}

static int scatter(struct traffic *traffic, float *x, size_t count, struct error *err)
{
	int n = traffic->call->group->count;
	size_t length;

	for (int i = 1; i < n; i++)
		post_receive(traffic, i, arrival(traffic, i), traffic->width);
	for (int i = 1; i < n; i++) {
		size_t start = slice_start(count, (size_t)n, (size_t)member(traffic, i), &length);

		post_send(traffic, i, x + start, length);
	}
	return wait_all(traffic, err);
}

static int gather(struct traffic *traffic, float *x, size_t count, const float *own,
		  struct error *err)
{
	int n = traffic->call->group->count;
	size_t length;

	for (int i = 1; i < n; i++) {
		size_t start = slice_start(count, (size_t)n, (size_t)member(traffic, i), &length);

		post_receive(traffic, i, x + start, length);
	}
	for (int i = 1; i < n; i++)
		post_send(traffic, i, own, traffic->width);
	return wait_all(traffic, err);
}

int coll_direct(const struct coll_call *call, float *x, size_t count, struct error *err)
{
	int n = call->group->count, mine = call->group->index, status;
	size_t length, start = slice_start(count, (size_t)n, (size_t)mine, &length);
	const float **addends = xcalloc((size_t)n, sizeof(*addends));
	struct traffic traffic = begin(call, length);

	status = scatter(&traffic, x, count, err);
	if (status == 0) {
		sum_slice(&traffic, mine, 0, x + start, length, addends);
		status = gather(&traffic, x, count, x + start, err);
	}
	end(&traffic);
	free(addends);
	return status;
}

int coll_flat(const struct coll_call *call, float *x, size_t count, struct error *err)
{
	int n = call->group->count, status;
	const float **addends = xcalloc((size_t)n, sizeof(*addends));
	struct traffic traffic = begin(call, count);

	for (int i = 1; i < n; i++)
		post_receive(&traffic, i, arrival(&traffic, i), count);
	for (int i = 1; i < n; i++)
		post_send(&traffic, i, x, count);
	status = wait_all(&traffic, err);
	for (int slice = 0; slice < n && status == 0; slice++) {
		size_t length, start = slice_start(count, (size_t)n, (size_t)slice, &length);

		sum_slice(&traffic, slice, start, x + start, length, addends);
	}
	end(&traffic);
	free(addends);
	return status;
}
