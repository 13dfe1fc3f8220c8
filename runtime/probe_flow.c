/*
 * One end of a flow or of a ping. The receiver of a flow leads: it asks for messages of a length of
 * its choice, as many as its window holds, and for none at the end.
 */
#include "runtime/probe_flow.h"

#include <math.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/numbers.h"
#include "lib/wire.h"
#include "runtime/probe_crew.h"
#include "runtime/probe_pace.h"
#include "runtime/probe_tally.h"
#include "runtime/transport/transport.h"

enum { SLOTS = 64, WORD = 8 };	      /* messages under way; bytes of what is asked */
enum { TRIPS = 4, TRIP_BYTES = 64 };  /* at the beginning, on a path that is still empty */
enum { PINGS = 50, PINGS_LEAST = 5 }; /* in a step */
enum { TAG_DATA = 1, TAG_WISH, TAG_PING, TAG_PONG };

static uint64_t tag_of(const struct probe_flow *flow, uint64_t kind)
{
	uint64_t tag =
		kind << 52 | (uint64_t)(flow->step & 0xffffff) << 24 | (flow->number & 0xffffff);

	return NET_TAG_STREAM(tag, kind != TAG_DATA);
}

/* Messages on their way, in order. */
struct ring {
	struct net_request requests[SLOTS];
	unsigned char words[SLOTS][WORD]; /* of a wish */
	size_t posted, done;
};

static struct net_request *ring_first(struct ring *ring)
{
	return &ring->requests[ring->done % SLOTS];
}

/* Room for one more message. */
static int ring_slot(struct ring *ring, struct net *net, size_t *slot, struct error *err)
{
	if (ring->posted - ring->done == SLOTS &&
	    net_wait(net, &ring->requests[ring->done++ % SLOTS], err) < 0)
		return -1;
	*slot = ring->posted++ % SLOTS;
	return 0;
}

static int ring_finish(struct ring *ring, struct net *net, struct error *err)
{
	struct error later;
	int status = 0;

	while (ring->done < ring->posted)
		if (net_wait(net, &ring->requests[ring->done++ % SLOTS], status ? &later : err) < 0)
			status = -1;
	return status;
}

struct receiver {
	struct probe_flow *flow;
	struct probe_pace pace;
	struct probe_tally tally;
	struct ring in, wishes;
	double asked[SLOTS]; /* when */
	size_t under_way;    /* bytes */
	unsigned char *bytes;
};

/* Asks for `count` messages of `length` bytes; 0: for no more. */
static int wish(struct receiver *r, uint32_t count, uint32_t length, struct error *err)
{
	const struct probe_flow *flow = r->flow;
	struct buf word = { 0 };
	size_t slot;

	if (ring_slot(&r->wishes, flow->site->net, &slot, err) < 0)
		return -1;
	wire_put_u32(&word, count);
	wire_put_u32(&word, length);
	for (size_t i = 0; i < WORD; i++)
		r->wishes.words[slot][i] = (unsigned char)word.data[i];
	buf_release(&word);
	net_post_send(flow->site->net, flow->peer, tag_of(flow, TAG_WISH), r->wishes.words[slot],
		      WORD, &r->wishes.requests[slot]);
	return 0;
}

/* Receives before they are asked for: nothing has to be kept. All go to the same place, which
 * nobody reads. */
static int ask(struct receiver *r, uint32_t count, size_t length, struct error *err)
{
	const struct probe_flow *flow = r->flow;

	for (uint32_t i = 0; i < count; i++) {
		size_t slot = r->in.posted++ % SLOTS;

		r->asked[slot] = clock_now();
		net_post_recv(flow->site->net, flow->peer, tag_of(flow, TAG_DATA), r->bytes, length,
			      &r->in.requests[slot]);
	}
	r->under_way += count * length;
	return wish(r, count, (uint32_t)length, err);
}

/* As many as the window has room for. */
static int fill_window(struct receiver *r, struct error *err)
{
	size_t length = probe_pace_chunk(&r->pace);
	size_t slots = SLOTS - (r->in.posted - r->in.done);
	size_t room = r->pace.window > (double)r->under_way
			      ? (size_t)(r->pace.window - (double)r->under_way) / length
			      : 0;

	if (r->under_way == 0 && room == 0)
		room = 1;
	if (room == 1 && (double)r->under_way > r->pace.window / 2)
		return 0; /* soon two, for one word */
	if (room > slots)
		room = slots;
	return room ? ask(r, (uint32_t)room, length, err) : 0;
}

static int take(struct receiver *r, double *now, double *rtt, size_t *length, struct error *err)
{
	struct net_request *first = ring_first(&r->in);

	*length = first->length;
	if (net_wait(r->flow->site->net, first, err) < 0)
		return -1;
	*now = clock_now();
	*rtt = *now - r->asked[r->in.done++ % SLOTS];
	r->under_way -= *length;
	r->flow->bytes += (double)*length;
	return 0;
}

/* How long a small message takes there and back before there is a queue. The first trip waits for
 * the other end to begin. */
static int try_path(struct receiver *r, struct error *err)
{
	double *least = &r->flow->site->rtt_least[r->flow->peer], now, rtt;
	size_t length;

	for (int i = 0; i < TRIPS; i++) {
		if (ask(r, 1, TRIP_BYTES, err) < 0 || take(r, &now, &rtt, &length, err) < 0)
			return -1;
		if (i > 0)
			*least = fmin(*least, rtt);
	}
	probe_pace_begin(&r->pace, clock_now(), *least);
	return 0;
}

static void note(struct receiver *r, double now, size_t length, enum probe_phase phase)
{
	struct probe_flow *flow = r->flow;

	if (!flow->up && (probe_pace_is_up(&r->pace, now) || phase != PROBE_RISE))
		flow->reached(flow, PROBE_RISE);
	if (phase == PROBE_RISE || flow->measured || !probe_tally_add(&r->tally, now, length))
		return;
	flow->result.bytes_per_s = probe_tally_rate(&r->tally);
	flow->result.spread = probe_tally_spread(&r->tally);
	flow->reached(flow, PROBE_MEASURE);
}

static int receive(struct receiver *r, struct error *err)
{
	struct probe_flow *flow = r->flow;
	enum probe_phase phase;
	double now, rtt;
	size_t length;

	if (try_path(r, err) < 0)
		return -1;
	while ((phase = flow->phase(flow->arg)) != PROBE_END) {
		if (fill_window(r, err) < 0 || take(r, &now, &rtt, &length, err) < 0)
			return -1;
		probe_pace_arrived(&r->pace, now, length, rtt);
		note(r, now, length, phase);
	}
	while (r->in.done < r->in.posted)
		if (take(r, &now, &rtt, &length, err) < 0)
			return -1;
	return wish(r, 0, 0, err);
}

int probe_flow_receive(struct probe_flow *flow, struct error *err)
{
	struct receiver *r = xcalloc(1, sizeof(*r));
	struct error later;
	int status;

	r->flow = flow;
	r->tally.seconds = flow->seconds;
	r->bytes = xmalloc(PROBE_CHUNK_MOST);
	flow->result.rtt_s = flow->result.rtt_min_s = NAN;
	status = receive(r, err);
	if (status < 0)
		net_abort(flow->site->net,
			  err->text); /* nothing is posted any more after the waits */
	if (ring_finish(&r->in, flow->site->net, status ? &later : err) < 0 ||
	    ring_finish(&r->wishes, flow->site->net, status ? &later : err) < 0)
		status = -1;
	free(r->bytes);
	free(r);
	return status;
}

static int hear_wish(struct probe_flow *flow, uint32_t *count, uint32_t *length, struct error *err)
{
	unsigned char word[WORD];
	struct net_request request;
	struct wire wire;

	net_post_recv(flow->site->net, flow->peer, tag_of(flow, TAG_WISH), word, WORD, &request);
	if (net_wait(flow->site->net, &request, err) < 0)
		return -1;
	wire = wire_reader(word, WORD);
	*count = wire_get_u32(&wire);
	*length = wire_get_u32(&wire);
	if (*count > SLOTS || *length > PROBE_CHUNK_MOST)
		return error_set(err, "rank %d (%s) asked for %u messages of %u bytes", flow->peer,
				 net_host(flow->site->net, flow->peer), *count, *length);
	return 0;
}

int probe_flow_send(struct probe_flow *flow, struct error *err)
{
	const struct probe_site *site = flow->site;
	struct ring *out = xcalloc(1, sizeof(*out));
	uint32_t count = 0, length = 0;
	struct error later;
	size_t slot;
	int status;

	while ((status = hear_wish(flow, &count, &length, err)) == 0 && count > 0) {
		while (count-- > 0 && status == 0) {
			status = ring_slot(out, site->net, &slot, err);
			if (status == 0)
				net_post_send(site->net, flow->peer, tag_of(flow, TAG_DATA),
					      site->noise, length, &out->requests[slot]);
		}
	}
	if (status < 0)
		net_abort(site->net, err->text);
	if (ring_finish(out, site->net, status ? &later : err) < 0)
		status = -1;
	free(out);
	return status;
}

/* A word there and back. `more`: it is not the last one. */
static int round_trip(struct probe_flow *flow, unsigned char more, struct error *err)
{
	struct net_request requests[2];
	unsigned char back;

	net_post_recv(flow->site->net, flow->peer, tag_of(flow, TAG_PONG), &back, 1, &requests[0]);
	net_post_send(flow->site->net, flow->peer, tag_of(flow, TAG_PING), &more, 1, &requests[1]);
	return net_wait_all(flow->site->net, requests, 2, err);
}

int probe_ping(struct probe_flow *flow, struct error *err)
{
	double trips[PINGS], began = clock_now(), at, *least = &flow->site->rtt_least[flow->peer];
	size_t count = 0;

	flow->result.bytes_per_s = flow->result.spread = NAN;
	/* The first one meets cold caches, and a peer that has not begun. */
	if (round_trip(flow, 1, err) < 0)
		return -1;
	while (count < PINGS && (count < PINGS_LEAST || clock_now() < began + flow->seconds)) {
		at = clock_now();
		if (round_trip(flow, 1, err) < 0)
			return -1;
		trips[count++] = clock_now() - at;
		if (clock_now() < at + flow->seconds / PINGS)
			clock_sleep(at + flow->seconds / PINGS - clock_now());
	}
	if (round_trip(flow, 0, err) < 0)
		return -1;
	flow->result.rtt_s = numbers_median(trips, count);
	flow->result.rtt_min_s = trips[0];
	*least = fmin(*least, trips[0]);
	flow->reached(flow, PROBE_MEASURE);
	return 0;
}

int probe_pong(struct probe_flow *flow, struct error *err)
{
	unsigned char more = 1;

	while (more) {
		struct net_request request;

		net_post_recv(flow->site->net, flow->peer, tag_of(flow, TAG_PING), &more, 1,
			      &request);
		if (net_wait(flow->site->net, &request, err) < 0)
			return -1;
		net_post_send(flow->site->net, flow->peer, tag_of(flow, TAG_PONG), &more, 1,
			      &request);
		if (net_wait(flow->site->net, &request, err) < 0)
			return -1;
	}
	flow->reached(flow, PROBE_MEASURE);
	return 0;
}
