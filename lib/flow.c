/*
 * Max-min fair rates by progressive filling, and when flows are done. All flows grow at the same
 * pace; the first segment to be full holds those that cross it, and so on. When a flow ends, only
 * flows at least as fast as it can change: up to its rate, filling goes on as before without it.
 */
#include "lib/flow.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/links.h"
#include "lib/memory.h"

/* Times and rates this near are the same: sums of rates are not exact. */
static const double near = 1e-9;

/* Earliest first. What is out of date when it comes up is for the caller to see. */
struct event {
	double at;
	int what;
};
struct queue {
	struct event *events;
	size_t count, room;
};

/* Segments by a host of their smaller side: of host h list[start[h]] to list[start[h + 1]]. */
struct side {
	int *start, *list;
};

/* A flow's hops over a segment. */
struct crossing {
	int segment, flow, hops;
};

/* A flow that is under way. */
struct runner {
	double rate, cap;
	double left, since, finish; /* bytes as of the time `since`; when there are none */
	int limit, cap_limit;
	bool growing, done;
};

struct flow_net {
	const struct links *links;
	struct side from, to;

	/* Of one call; kept for the next. */
	struct runner *runners;
	int *begin; /* [flows + 1] of a flow's crossings */
	struct crossing *crossings;
	int *members; /* crossings again, in the order of the segments */
	int *todo;    /* flows to be filled */
	size_t runner_room, begin_room, crossing_room, member_room, todo_room, todo_count;
	struct queue limits, ends;

	/* [segments] */
	double *used;			  /* bytes per second */
	int *growing;			  /* hops of flows that grow */
	int *member_begin, *member_count; /* in `members`; those that ended are swept out */
	int *seen, *last;		  /* the stamp of the last visit; the crossing then */
	int stamp;
	int *near_by, near_count; /* segments seen in this round */
};

/* Room for `count` entries at least, with what is in the array. */
static void *roomy(void *array, size_t *room, size_t count, size_t bytes)
{
	if (count <= *room)
		return array;
	*room = count > 2 * *room ? count : 2 * *room;
	return xrealloc(array, *room, bytes);
}

static bool is_before(struct event a, struct event b)
{
	return a.at < b.at || (a.at == b.at && a.what < b.what);
}

static void queue_push(struct queue *queue, double at, int what)
{
	struct event event = { at, what };
	size_t i = queue->count++;

	queue->events = roomy(queue->events, &queue->room, queue->count, sizeof(event));
	for (; i > 0 && is_before(event, queue->events[(i - 1) / 2]); i = (i - 1) / 2)
		queue->events[i] = queue->events[(i - 1) / 2];
	queue->events[i] = event;
}

static struct event queue_pop(struct queue *queue)
{
	struct event first = queue->events[0], moved = queue->events[--queue->count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < queue->count) {
		if (child + 1 < queue->count &&
		    is_before(queue->events[child + 1], queue->events[child]))
			child++;
		if (!is_before(queue->events[child], moved))
			break;
		queue->events[i] = queue->events[child];
		i = child;
	}
	queue->events[i] = moved;
	return first;
}

static size_t member_total(const bool *side, size_t hosts)
{
	size_t total = 0;

	for (size_t i = 0; i < hosts; i++)
		total += side[i];
	return total;
}

/* The members of a segment's side if the index is by that side; NULL: it is by the other. */
static const bool *indexed(const struct links *links, size_t segment, bool by_to)
{
	const struct link_segment *s = &links->segments[segment];
	bool to_is_smaller =
		member_total(s->to, links->hosts) < member_total(s->from, links->hosts);

	if (to_is_smaller != by_to)
		return NULL;
	return by_to ? s->to : s->from;
}

static struct side index_side(const struct links *links, bool by_to)
{
	struct side side = { .start = xcalloc(links->hosts + 2, sizeof(int)) };

	for (size_t s = 0; s < links->segment_count; s++) {
		const bool *members = indexed(links, s, by_to);

		for (size_t h = 0; members && h < links->hosts; h++)
			side.start[h + 2] += members[h];
	}
	for (size_t h = 2; h < links->hosts + 2; h++)
		side.start[h] += side.start[h - 1];
	side.list = xcalloc(side.start[links->hosts + 1], sizeof(int));
	for (size_t s = 0; s < links->segment_count; s++) {
		const bool *members = indexed(links, s, by_to);

		for (size_t h = 0; members && h < links->hosts; h++)
			if (members[h])
				side.list[side.start[h + 1]++] = (int)s;
	}
	return side;
}

struct flow_net *flow_net_new(const struct links *links)
{
	struct flow_net *net = xcalloc(1, sizeof(*net));
	size_t segments = links->segment_count;

	net->links = links;
	net->from = index_side(links, false);
	net->to = index_side(links, true);
	net->used = xcalloc(segments, sizeof(*net->used));
	net->growing = xcalloc(segments, sizeof(int));
	net->member_begin = xcalloc(segments + 1, sizeof(int));
	net->member_count = xcalloc(segments, sizeof(int));
	net->seen = xcalloc(segments, sizeof(int));
	net->last = xcalloc(segments, sizeof(int));
	net->near_by = xcalloc(segments, sizeof(int));
	return net;
}

void flow_net_free(struct flow_net *net)
{
	if (!net)
		return;
	free(net->from.start);
	free(net->from.list);
	free(net->to.start);
	free(net->to.list);
	free(net->runners);
	free(net->begin);
	free(net->crossings);
	free(net->members);
	free(net->todo);
	free(net->limits.events);
	free(net->ends.events);
	free(net->used);
	free(net->growing);
	free(net->member_begin);
	free(net->member_count);
	free(net->seen);
	free(net->last);
	free(net->near_by);
	free(net);
}

/* One more hop of the flow over the segment. The stamp is the flow's. */
static void cross(struct flow_net *net, int flow, int segment)
{
	int crossing = net->begin[flow + 1];

	if (!isfinite(net->links->segments[segment].bytes_per_s))
		return;
	if (net->seen[segment] == net->stamp) {
		net->crossings[net->last[segment]].hops++;
		return;
	}
	net->seen[segment] = net->stamp;
	net->last[segment] = crossing;
	net->crossings = roomy(net->crossings, &net->crossing_room, (size_t)crossing + 1,
			       sizeof(*net->crossings));
	net->crossings[crossing] = (struct crossing){ segment, flow, 1 };
	net->member_count[segment]++;
	net->begin[flow + 1]++;
}

/* Which segments a hop crosses: few are listed for a host, although each may hold many hosts. */
static void cross_all(struct flow_net *net, int flow, struct flow_hop hop)
{
	const struct link_segment *segments = net->links->segments;
	const struct side *from = &net->from, *to = &net->to;

	for (int i = from->start[hop.from]; i < from->start[hop.from + 1]; i++)
		if (link_crosses(&segments[from->list[i]], hop.from, hop.to))
			cross(net, flow, from->list[i]);
	for (int i = to->start[hop.to]; i < to->start[hop.to + 1]; i++)
		if (link_crosses(&segments[to->list[i]], hop.from, hop.to))
			cross(net, flow, to->list[i]);
}

static void load_flow(struct flow_net *net, int number, const struct flow *flow)
{
	struct runner *runner = &net->runners[number];

	*runner = (struct runner){ .cap = flow->most,
				   .cap_limit = FLOW_BY_MOST,
				   .left = flow->bytes };
	net->stamp++;
	net->begin[number + 1] = net->begin[number];
	for (size_t i = 0; i < flow->count; i++) {
		struct flow_hop hop = flow->hops[i];
		double own = links_pair(net->links, hop.from, hop.to)->bytes_per_s;

		if (own < runner->cap) { /* and is known */
			runner->cap = own;
			runner->cap_limit = FLOW_BY_PAIR;
		}
		cross_all(net, number, hop);
	}
}

/* All crossings, by flow and by segment. Nothing is used yet. */
static void load(struct flow_net *net, const struct flow *flows, size_t count)
{
	size_t segments = net->links->segment_count;
	int total;

	net->runners = roomy(net->runners, &net->runner_room, count, sizeof(*net->runners));
	net->begin = roomy(net->begin, &net->begin_room, count + 1, sizeof(*net->begin));
	net->todo = roomy(net->todo, &net->todo_room, count, sizeof(*net->todo));
	for (size_t s = 0; s < segments; s++) {
		net->used[s] = 0;
		net->member_count[s] = 0;
		net->seen[s] = 0;
	}
	net->stamp = 0;
	net->begin[0] = 0;
	for (size_t f = 0; f < count; f++)
		load_flow(net, (int)f, &flows[f]);
	total = net->begin[count];
	net->members = roomy(net->members, &net->member_room, total, sizeof(*net->members));
	for (size_t s = 0; s < segments; s++) {
		net->member_begin[s + 1] = net->member_begin[s] + net->member_count[s];
		net->member_count[s] = 0;
	}
	for (int c = 0; c < total; c++) {
		int s = net->crossings[c].segment;

		net->members[net->member_begin[s] + net->member_count[s]++] = c;
	}
}

/* Takes what a flow uses off its segments, or puts it on. */
static void use(struct flow_net *net, int flow, double bytes_per_s)
{
	for (int c = net->begin[flow]; c < net->begin[flow + 1]; c++)
		net->used[net->crossings[c].segment] += net->crossings[c].hops * bytes_per_s;
}

static void settle(struct flow_net *net, int flow, double rate, int limit)
{
	struct runner *runner = &net->runners[flow];

	runner->growing = false;
	runner->rate = rate;
	runner->limit = limit;
	for (int c = net->begin[flow]; c < net->begin[flow + 1]; c++)
		net->growing[net->crossings[c].segment] -= net->crossings[c].hops;
	use(net, flow, rate);
}

/* The rate at which the segment is full, if nothing else holds those that grow over it. */
static double full_at(const struct flow_net *net, int segment)
{
	double left = net->links->segments[segment].bytes_per_s - net->used[segment];

	return fmax(left, 0) / net->growing[segment];
}

static void fill_segment(struct flow_net *net, int segment, double rate)
{
	double now = net->growing[segment] > 0 ? full_at(net, segment) : 0;

	if (now > rate * (1 + near)) { /* flows were held back elsewhere since it was queued */
		queue_push(&net->limits, now, segment);
		return;
	}
	for (int i = 0; net->growing[segment] > 0 && i < net->member_count[segment]; i++) {
		int c = net->members[net->member_begin[segment] + i];

		if (net->runners[net->crossings[c].flow].growing)
			settle(net, net->crossings[c].flow, rate, segment);
	}
}

/* The segment belongs to this round. What grew over it in an earlier one is forgotten. */
static void see(struct flow_net *net, int segment)
{
	if (net->seen[segment] == net->stamp)
		return;
	net->seen[segment] = net->stamp;
	net->growing[segment] = 0;
	net->near_by[net->near_count++] = segment;
}

/* Flow `flow` shall be filled anew; its segments with it. */
static void add_todo(struct flow_net *net, int flow)
{
	net->runners[flow].growing = true;
	net->todo[net->todo_count++] = flow;
	for (int c = net->begin[flow]; c < net->begin[flow + 1]; c++) {
		see(net, net->crossings[c].segment);
		net->growing[net->crossings[c].segment] += net->crossings[c].hops;
	}
}

static void begin_round(struct flow_net *net)
{
	net->stamp++;
	net->todo_count = 0;
	net->near_count = 0;
}

/* Rates of all that is in `todo`, beside the others. */
static void fill(struct flow_net *net)
{
	int segments = (int)net->links->segment_count;

	for (size_t i = 0; i < net->todo_count; i++)
		if (isfinite(net->runners[net->todo[i]].cap))
			queue_push(&net->limits, net->runners[net->todo[i]].cap,
				   segments + net->todo[i]);
	for (int i = 0; i < net->near_count; i++)
		if (net->growing[net->near_by[i]] > 0)
			queue_push(&net->limits, full_at(net, net->near_by[i]), net->near_by[i]);
	while (net->limits.count > 0) {
		struct event event = queue_pop(&net->limits);

		if (event.what < segments)
			fill_segment(net, event.what, event.at);
		else if (net->runners[event.what - segments].growing)
			settle(net, event.what - segments, event.at,
			       net->runners[event.what - segments].cap_limit);
	}
	for (size_t i = 0; i < net->todo_count; i++)
		if (net->runners[net->todo[i]].growing) /* nothing on its way */
			settle(net, net->todo[i], INFINITY, FLOW_BY_MOST);
}

void flow_rates(struct flow_net *net, const struct flow *flows, size_t count, double *rates,
		int *limits)
{
	load(net, flows, count);
	begin_round(net);
	for (size_t f = 0; f < count; f++)
		add_todo(net, (int)f);
	fill(net);
	for (size_t f = 0; f < count; f++) {
		rates[f] = net->runners[f].rate;
		if (limits)
			limits[f] = net->runners[f].limit;
	}
}

/* Fills what is to do and says when each will be done, as of now. */
static void refill(struct flow_net *net, double now)
{
	for (size_t i = 0; i < net->todo_count; i++) {
		struct runner *runner = &net->runners[net->todo[i]];

		if (now > runner->since)
			runner->left = fmax(runner->left - runner->rate * (now - runner->since), 0);
		runner->since = now;
		use(net, net->todo[i], -runner->rate);
	}
	fill(net);
	for (size_t i = 0; i < net->todo_count; i++) {
		struct runner *runner = &net->runners[net->todo[i]];

		runner->finish = runner->rate > 0 ? now + runner->left / runner->rate : INFINITY;
		if (isfinite(runner->finish))
			queue_push(&net->ends, runner->finish, net->todo[i]);
	}
}

/* A flow ends: its segments are where others may grow. */
static void end_flow(struct flow_net *net, int flow)
{
	net->runners[flow].done = true;
	use(net, flow, -net->runners[flow].rate);
	for (int c = net->begin[flow]; c < net->begin[flow + 1]; c++)
		see(net, net->crossings[c].segment);
}

/* Adds the flows over a segment that are at least that fast, and sweeps out those that ended. */
static void reach(struct flow_net *net, int segment, double rate)
{
	int *members = net->members + net->member_begin[segment], kept = 0;

	for (int i = 0; i < net->member_count[segment]; i++) {
		int flow = net->crossings[members[i]].flow;

		if (net->runners[flow].done)
			continue;
		members[kept++] = members[i];
		if (!net->runners[flow].growing && net->runners[flow].rate >= rate * (1 - near))
			add_todo(net, flow);
	}
	net->member_count[segment] = kept;
}

static bool is_due(const struct flow_net *net, struct event event)
{
	const struct runner *runner = &net->runners[event.what];

	return !runner->done && runner->finish == event.at;
}

/* The flows that end at the next moment, and the rates of the others after it. */
static void advance(struct flow_net *net)
{
	double now = net->ends.events[0].at, least = INFINITY, until = now * (1 + near);

	begin_round(net);
	while (net->ends.count > 0 && net->ends.events[0].at <= until) {
		struct event event = queue_pop(&net->ends);

		if (!is_due(net, event))
			continue;
		now = event.at;
		least = fmin(least, net->runners[event.what].rate);
		end_flow(net, event.what);
	}
	for (int i = 0; i < net->near_count; i++) /* grows on the way */
		reach(net, net->near_by[i], least);
	refill(net, now);
}

double flow_finish(struct flow_net *net, const struct flow *flows, size_t count, double *finish)
{
	double longest = 0;

	load(net, flows, count);
	begin_round(net);
	for (size_t f = 0; f < count; f++)
		if (flows[f].bytes > 0)
			add_todo(net, (int)f);
	net->ends.count = 0;
	refill(net, 0);
	while (net->ends.count > 0)
		advance(net);
	for (size_t f = 0; f < count; f++) {
		finish[f] = net->runners[f].finish;
		longest = fmax(longest, finish[f]);
	}
	return longest;
}
