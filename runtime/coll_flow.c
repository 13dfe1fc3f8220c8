/* The pipelined transfer that all collectives on floats are made of. */
#include "runtime/coll_flow.h"

#include <stdbool.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/coll.h"
#include "runtime/coll_cost.h"
#include "runtime/device/cpu.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

enum {
	RECORD = 16 << 10, /* bytes that TLS encrypts at once: no message of many is shorter */
	LONGEST = 8 * RECORD,
	SENDS = 4,    /* under way at once, of each stream or at least */
	RECEIVES = 2, /* one is added while the next one arrives */
	LANE = 2 * NET_STREAMS_MAX
};

/* Messages of one direction, waited for in the order in which they were posted. */
struct lane {
	struct net_request requests[LANE];
	size_t posted, finished;
};

/* Slices travel in segments: an item is a segment in a step. What item k receives is what item
 * k + segments sends. */
struct work {
	const struct coll_call *call;
	const struct coll_flow *flow;
	int segments;
	struct lane sends, receives;
};

struct piece {
	float *x;
	size_t count;
};

/* Floats of a message: few enough to add while the next one comes, enough to make a message's own
 * cost a tenth of its bytes' at most. The same on all members, as group->cost is. */
static size_t segment_of(const struct group *group)
{
	const struct coll_cost *cost = group->cost ? group->cost : &coll_cost_default;
	double bytes = 10 * cost->message_s / cost->beta_s;

	if (bytes >= LONGEST)
		return LONGEST / sizeof(float);
	return (size_t)(bytes / RECORD + 1) * RECORD / sizeof(float);
}

/* Messages that are received at once: one more than streams bring. */
static int receives_of(struct net *net, const struct group *group)
{
	int most = 1;

	for (int i = 0; i < group->count; i++) {
		int streams = i == group->index ? 1 : net_streams(net, group->ranks[i]);

		most = streams > most ? streams : most;
	}
	return most + RECEIVES - 1;
}

struct coll_call coll_call_begin(struct net *net, const struct group *group, enum coll_kind kind,
				 size_t count)
{
	size_t segment = segment_of(group), room = count < segment ? count : segment;
	int receives = receives_of(net, group);

	return (struct coll_call){ .net = net,
				   .group = group,
				   .kind = kind,
				   .scratch = xmalloc((size_t)receives * room * sizeof(float)),
				   .segment = room,
				   .receives = receives };
}

void coll_call_end(struct coll_call *call)
{
	free(call->scratch);
	call->scratch = NULL;
}

uint64_t coll_tag(const struct coll_call *call)
{
	return (uint64_t)call->group->id << 8 | call->kind;
}

int coll_wait(struct net *net, struct net_request *requests, size_t count, struct error *err)
{
	struct error later;
	int status = 0;

	for (size_t i = 0; i < count; i++) {
		if (net_wait(net, &requests[i], status ? &later : err) == 0 || status < 0)
			continue;
		status = -1;
		net_abort(net, err->text);
	}
	return status;
}

/* What an item sends. */
static struct piece piece_of(const struct work *work, int item)
{
	const struct coll_flow *flow = work->flow;
	int slice = (flow->first - item / work->segments) % flow->slices;
	size_t length, start;

	if (slice < 0)
		slice += flow->slices;
	start = slice_start(flow->count, flow->slices, slice, &length);
	start += slice_start(length, work->segments, item % work->segments, &length);
	return (struct piece){ flow->x + start, length };
}

static bool is_added(const struct work *work, int item)
{
	return work->flow->from != COLL_NOBODY && item / work->segments < work->flow->adds;
}

static float *landing(const struct work *work, int item)
{
	if (is_added(work, item))
		return work->call->scratch +
		       (size_t)(item % work->call->receives) * work->call->segment;
	return piece_of(work, item + work->segments).x;
}

/* Segments take streams in turn. */
static uint64_t tag_of(const struct work *work, int peer, int item)
{
	return NET_TAG_STREAM(coll_tag(work->call), item % net_streams(work->call->net, peer));
}

static struct net_request *lane_next(struct lane *lane)
{
	return &lane->requests[lane->posted++ % LANE];
}

static int lane_wait(struct net *net, struct lane *lane, struct error *err)
{
	if (lane->finished == lane->posted)
		return 0;
	return net_wait(net, &lane->requests[lane->finished++ % LANE], err);
}

static void post_send(struct work *work, int item)
{
	struct piece piece = piece_of(work, item);

	if (work->flow->to != COLL_NOBODY)
		net_post_send(work->call->net, work->flow->to, tag_of(work, work->flow->to, item),
			      piece.x, piece.count * sizeof(float), lane_next(&work->sends));
}

static void post_receive(struct work *work, int item)
{
	struct piece piece = piece_of(work, item + work->segments);

	if (work->flow->from != COLL_NOBODY)
		net_post_recv(work->call->net, work->flow->from,
			      tag_of(work, work->flow->from, item), landing(work, item),
			      piece.count * sizeof(float), lane_next(&work->receives));
}

/* Waits until the item has come and gone, and adds it. */
static int finish(struct work *work, int item, struct error *err)
{
	struct piece piece = piece_of(work, item + work->segments);

	if (lane_wait(work->call->net, &work->receives, err) < 0)
		return -1;
	if (is_added(work, item))
		cpu_add(piece.x, landing(work, item), piece.count);
	return lane_wait(work->call->net, &work->sends, err);
}

/*
 * A half-done collective leaves messages behind that would be taken for those of the next one, so
 * the net is of no use any more; abort also gets the buffers back at once.
 */
static int give_up(struct work *work, struct error *err)
{
	struct lane *lanes[] = { &work->receives, &work->sends };
	struct error ignored;

	net_abort(work->call->net, err->text);
	for (size_t i = 0; i < ARRAY_SIZE(lanes); i++)
		while (lanes[i]->finished < lanes[i]->posted)
			lane_wait(work->call->net, lanes[i], &ignored);
	return -1;
}

int coll_flow_run(const struct coll_call *call, const struct coll_flow *flow, struct error *err)
{
	struct work work = { .call = call, .flow = flow };
	size_t longest, segment = segment_of(call->group);
	int items, sends, receives, lag;

	slice_start(flow->count, flow->slices, 0, &longest);
	work.segments = longest > segment ? (int)((longest + segment - 1) / segment) : 1;
	items = flow->steps * work.segments;
	/* Item k + segments may be sent once item k is finished. */
	sends = SENDS > 2 * (call->receives - 1) ? SENDS : 2 * (call->receives - 1);
	sends = work.segments < sends ? work.segments : sends;
	/* Item k arrives where item k - lag was sent from: that one must be finished. */
	lag = work.segments * (flow->slices - 1);
	receives = lag > 0 && lag < call->receives ? lag : call->receives;
	for (int k = 0; k < receives && k < items; k++)
		post_receive(&work, k);
	for (int k = 0; k < sends && k < items; k++)
		post_send(&work, k);
	for (int k = 0; k < items; k++) {
		if (finish(&work, k, err) < 0)
			return give_up(&work, err);
		if (k + sends < items)
			post_send(&work, k + sends);
		if (k + receives < items)
			post_receive(&work, k + receives);
	}
	return 0;
}
