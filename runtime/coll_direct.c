/*
 * Allreduce without a ring: n - 1 messages at once instead of one after the other. Thakur,
 * Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH" (2005),
 * call the halves of `direct` pairwise exchange; here no pair waits for another.
 */
#include "runtime/coll_direct.h"

#include <stdint.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/coll.h"
#include "runtime/coll_flow.h"
#include "runtime/device/cpu.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

enum {
	SEGMENT = (256 << 10) / sizeof(float), /* of a long slice, what is added at once */
	DEPTH = 2			       /* segments that are on their way at once */
};

/* Messages of one kind, n - 1 at a time, waited for in the order in which they were posted. */
struct lane {
	struct net_request *requests;
	size_t room, posted, finished;
};

enum lane_number { GIVEN, ADDENDS, SUMS, RESULTS, LANES };

/* Messages under way, and where those of others arrive to be added: vectors of `width` floats. */
struct traffic {
	const struct coll_call *call;
	struct lane lanes[LANES];
	float *arrivals;
	const float **addends;
	size_t width;
};

static struct traffic begin(const struct coll_call *call, size_t width, size_t depth)
{
	size_t others = (size_t)call->group->count - 1;
	struct traffic traffic = { .call = call, .width = width };

	for (size_t i = 0; i < LANES; i++) {
		traffic.lanes[i].room = depth * others;
		traffic.lanes[i].requests = xcalloc(depth * others, sizeof(struct net_request));
	}
	traffic.arrivals = xmalloc(depth * others * width * sizeof(float));
	traffic.addends = xcalloc(others + 1, sizeof(*traffic.addends));
	return traffic;
}

/* After a failure gets the buffers back, which an abort makes quick. */
static int end(struct traffic *traffic, int status, struct error *err)
{
	struct net *net = traffic->call->net;
	struct error ignored;

	if (status < 0)
		net_abort(net, err->text);
	for (size_t i = 0; i < LANES; i++) {
		struct lane *lane = &traffic->lanes[i];

		while (lane->finished < lane->posted)
			net_wait(net, &lane->requests[lane->finished++ % lane->room], &ignored);
		free(lane->requests);
	}
	free(traffic->arrivals);
	free(traffic->addends);
	return status;
}

/* The member i places after this one, i from 1. */
static int member(const struct traffic *traffic, int i)
{
	return (traffic->call->group->index + i) % traffic->call->group->count;
}

/* What the member i places after this one gave for segment k. */
static float *arrival(const struct traffic *traffic, int k, int i)
{
	size_t others = (size_t)traffic->call->group->count - 1;

	return traffic->arrivals +
	       ((size_t)(k % DEPTH) * others + (size_t)(i - 1)) * traffic->width;
}

/* Results have a tag of their own: a sum may be on its way before the next thing to be added. */
static uint64_t tag_of(const struct traffic *traffic, enum lane_number number, int peer, int k)
{
	struct coll_call call = *traffic->call;

	if (number == SUMS || number == RESULTS)
		call.kind = COLL_ALLGATHER;
	return NET_TAG_STREAM(coll_tag(&call), k % net_streams(call.net, peer));
}

/* A message of segment k with the member i places after this one. */
static void post(struct traffic *traffic, enum lane_number number, int k, int i, float *x,
		 size_t count)
{
	struct lane *lane = &traffic->lanes[number];
	struct net_request *request = &lane->requests[lane->posted++ % lane->room];
	int peer = traffic->call->group->ranks[member(traffic, i)];
	uint64_t tag = tag_of(traffic, number, peer, k);

	if (number == GIVEN || number == SUMS)
		net_post_send(traffic->call->net, peer, tag, x, count * sizeof(*x), request);
	else
		net_post_recv(traffic->call->net, peer, tag, x, count * sizeof(*x), request);
}

/* The oldest n - 1 messages that are under way. */
static int finish(struct traffic *traffic, enum lane_number number, struct error *err)
{
	struct lane *lane = &traffic->lanes[number];

	for (int i = 1; i < traffic->call->group->count; i++)
		if (net_wait(traffic->call->net, &lane->requests[lane->finished++ % lane->room],
			     err) < 0)
			return -1;
	return 0;
}

/* Adds what arrived for segment k to x, which belongs to slice `slice` of this rank's vector, in
 * the ring's order: from the slice's next member round to its owner. `skip`: where it lies in what
 * arrived. */
static void sum(struct traffic *traffic, int slice, int k, size_t skip, float *x, size_t count)
{
	int n = traffic->call->group->count;

	for (int j = 0; j < n; j++) {
		int from = (slice + 1 + j - traffic->call->group->index + n) % n;

		traffic->addends[j] = from == 0 ? x : arrival(traffic, k, from) + skip;
	}
	cpu_sum(x, traffic->addends, (size_t)n, count);
}

/* A vector whose slices are cut into segments. */
struct vector {
	float *x;
	size_t count;
	int segments;
};

/* Segment k of the slice of the member i places after this one, or of this one's (i = 0). */
static float *segment_of(const struct traffic *traffic, const struct vector *vector, int k, int i,
			 size_t *length)
{
	size_t whole, start, n = (size_t)traffic->call->group->count;

	start = slice_start(vector->count, n, (size_t)member(traffic, i), &whole);
	return vector->x + start + slice_start(whole, (size_t)vector->segments, (size_t)k, length);
}

/* Segments k of everybody's slice set out to be added. */
static void scatter(struct traffic *traffic, const struct vector *vector, int k)
{
	int n = traffic->call->group->count;
	size_t length;
	float *x;

	if (k >= vector->segments)
		return;
	segment_of(traffic, vector, k, 0, &length);
	for (int i = 1; i < n; i++)
		post(traffic, ADDENDS, k, i, arrival(traffic, k, i), length);
	for (int i = 1; i < n; i++) {
		x = segment_of(traffic, vector, k, i, &length);
		post(traffic, GIVEN, k, i, x, length);
	}
}

/* Segment k of this rank's slice is added up, and sets out; the others' sums take the place of what
 * was given. */
static int add_and_gather(struct traffic *traffic, const struct vector *vector, int k,
			  struct error *err)
{
	int n = traffic->call->group->count, mine = traffic->call->group->index;
	size_t length, theirs;
	float *own = segment_of(traffic, vector, k, 0, &length), *x;

	if (finish(traffic, GIVEN, err) < 0)
		return -1;
	for (int i = 1; i < n; i++) {
		x = segment_of(traffic, vector, k, i, &theirs);
		post(traffic, RESULTS, k, i, x, theirs);
	}
	if (finish(traffic, ADDENDS, err) < 0)
		return -1;
	sum(traffic, mine, k, 0, own, length);
	for (int i = 1; i < n; i++)
		post(traffic, SUMS, k, i, own, length);
	return 0;
}

static int gathered(struct traffic *traffic, struct error *err)
{
	if (finish(traffic, RESULTS, err) < 0)
		return -1;
	return finish(traffic, SUMS, err);
}

/* All members make the same segments: of the longest slice, the first one, none exceeds SEGMENT. */
int coll_direct(const struct coll_call *call, float *x, size_t count, struct error *err)
{
	struct vector vector = { .x = x, .count = count };
	struct traffic traffic;
	size_t longest, width;
	int status = 0;

	slice_start(count, (size_t)call->group->count, 0, &longest);
	vector.segments = (int)((longest + SEGMENT - 1) / SEGMENT);
	slice_start(longest, (size_t)vector.segments, 0, &width);
	traffic = begin(call, width, DEPTH);
	for (int k = 0; k < DEPTH; k++)
		scatter(&traffic, &vector, k);
	for (int k = 0; k < vector.segments && status == 0; k++) {
		if (k >= DEPTH)
			status = gathered(&traffic, err);
		if (status == 0)
			status = add_and_gather(&traffic, &vector, k, err);
		if (status == 0)
			scatter(&traffic, &vector, k + DEPTH);
	}
	while (status == 0 && traffic.lanes[RESULTS].finished < traffic.lanes[RESULTS].posted)
		status = gathered(&traffic, err);
	return end(&traffic, status, err);
}

int coll_flat(const struct coll_call *call, float *x, size_t count, struct error *err)
{
	int n = call->group->count, status;
	struct traffic traffic = begin(call, count, 1);

	for (int i = 1; i < n; i++)
		post(&traffic, ADDENDS, 0, i, arrival(&traffic, 0, i), count);
	for (int i = 1; i < n; i++)
		post(&traffic, GIVEN, 0, i, x, count);
	status = finish(&traffic, ADDENDS, err);
	if (status == 0)
		status = finish(&traffic, GIVEN, err);
	for (int slice = 0; slice < n && status == 0; slice++) {
		size_t length, start = slice_start(count, (size_t)n, (size_t)slice, &length);

		sum(&traffic, slice, 0, start, x + start, length);
	}
	return end(&traffic, status, err);
}
