/* Messages under way on emulated links, in virtual time. */
#include "runtime/transport/paths.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/flow.h"
#include "lib/links.h"
#include "lib/links_file.h"
#include "lib/memory.h"

/* With more paths in use, rates follow what happens only as often as time is told: they are dear,
 * and the moments of so many messages lie close together. */
enum { EXACT = 128 };

/* From a rank to another. */
struct path {
	struct parcels waiting, travelling; /* the first one's bytes leave; bytes have left */
	double left, since;		    /* bytes of the first, as of the time `since` */
	double rate, finish;
	double delay_s;
	bool fresh; /* begins at `since`, and is in nobody's rates yet */
	bool active;
};

struct paths {
	struct links links;
	struct links_script script;
	struct flow_net *net;
	int world;
	paths_left *on_left;
	void *arg;

	struct path *paths; /* [world * world], from * world + to */
	int *active;	    /* those with messages */
	size_t active_count, active_room;
	double changed_at; /* rates have to be found anew; INFINITY: they are right */

	size_t event; /* the next one of the script */
	double round; /* when this round of the script began */

	struct flow *flows; /* [active_room], as the next */
	struct flow_hop *hops;
	double *rates;
	int *senders;
	int *host_of; /* [world] */
};

static void parcels_add(struct parcels *parcels, struct parcel *parcel)
{
	parcel->next = NULL;
	if (parcels->last)
		parcels->last->next = parcel;
	else
		parcels->first = parcel;
	parcels->last = parcel;
}

struct parcel *parcels_take(struct parcels *parcels)
{
	struct parcel *first = parcels->first;

	if (!first)
		return NULL;
	parcels->first = first->next;
	if (!parcels->first)
		parcels->last = NULL;
	return first;
}

static bool parcels_remove(struct parcels *parcels, const struct parcel *parcel)
{
	struct parcel *before = NULL, *at = parcels->first;

	while (at && at != parcel) {
		before = at;
		at = at->next;
	}
	if (!at)
		return false;
	*(before ? &before->next : &parcels->first) = at->next;
	if (parcels->last == at)
		parcels->last = before;
	return true;
}

static struct links_script copy_script(const struct links_script *script)
{
	struct links_script copy = { .count = script->count, .repeat_s = script->repeat_s };

	copy.events = xcalloc(script->count, sizeof(*copy.events));
	if (script->count)
		memcpy(copy.events, script->events, script->count * sizeof(*copy.events));
	return copy;
}

struct paths *paths_new(const struct links *links, const struct links_script *script,
			const int *host_of, int world, double now, paths_left *left, void *arg)
{
	struct paths *paths = xcalloc(1, sizeof(*paths));
	size_t ranks = (size_t)world;

	links_copy(&paths->links, links);
	paths->script = copy_script(script);
	paths->net = flow_net_new(&paths->links);
	paths->world = world;
	paths->on_left = left;
	paths->arg = arg;
	paths->round = now;
	paths->changed_at = INFINITY;
	paths->paths = xcalloc(ranks * ranks, sizeof(*paths->paths));
	paths->host_of = xcalloc(ranks, sizeof(int));
	memcpy(paths->host_of, host_of, ranks * sizeof(int));
	for (int from = 0; from < world; from++)
		for (int to = 0; to < world; to++) {
			double rtt_s = links_pair(links, host_of[from], host_of[to])->rtt_s;

			paths->paths[from * world + to].delay_s = isfinite(rtt_s) ? rtt_s / 2 : 0;
		}
	return paths;
}

void paths_free(struct paths *paths)
{
	if (!paths)
		return;
	flow_net_free(paths->net);
	links_release(&paths->links);
	links_script_release(&paths->script);
	free(paths->paths);
	free(paths->active);
	free(paths->flows);
	free(paths->hops);
	free(paths->rates);
	free(paths->senders);
	free(paths->host_of);
	free(paths);
}

double paths_delay(const struct paths *paths, int from, int to)
{
	return paths->paths[from * paths->world + to].delay_s;
}

/* Room for one more path in use, in all that goes by their number. */
static void make_room(struct paths *paths)
{
	size_t room = paths->active_room ? 2 * paths->active_room : 64;

	if (paths->active_count < paths->active_room)
		return;
	paths->active = xrealloc(paths->active, room, sizeof(int));
	paths->flows = xrealloc(paths->flows, room, sizeof(*paths->flows));
	paths->hops = xrealloc(paths->hops, room, sizeof(*paths->hops));
	paths->rates = xrealloc(paths->rates, room, sizeof(double));
	paths->senders = xrealloc(paths->senders, room, sizeof(int));
	paths->active_room = room;
}

static void begin_first(struct path *path, double now)
{
	path->left = (double)path->waiting.first->bytes;
	path->since = now;
	path->rate = 0;
	path->finish = INFINITY;
	path->fresh = true;
}

bool paths_post(struct paths *paths, struct parcel *parcel, double now)
{
	int number = parcel->from * paths->world + parcel->to;
	struct path *path = &paths->paths[number];
	bool idle = !path->waiting.first;

	parcel->left = false;
	parcels_add(&path->waiting, parcel);
	if (idle)
		begin_first(path, now);
	if (path->active)
		return idle;
	make_room(paths);
	path->active = true;
	paths->active[paths->active_count++] = number;
	return true;
}

static double event_at(const struct paths *paths)
{
	return paths->event < paths->script.count
		       ? paths->round + paths->script.events[paths->event].at_s
		       : INFINITY;
}

double paths_next(const struct paths *paths)
{
	double next = fmin(paths->changed_at, event_at(paths));

	for (size_t i = 0; i < paths->active_count; i++) {
		const struct path *path = &paths->paths[paths->active[i]];

		if (path->waiting.first)
			next = fmin(next, path->fresh ? path->since : path->finish);
		if (path->travelling.first)
			next = fmin(next, path->travelling.first->arrives_at);
	}
	return next;
}

/* What the script says until `now`: true if it said something. */
static bool play(struct paths *paths, double now)
{
	const struct links_script *script = &paths->script;
	bool changed = false;

	while (event_at(paths) <= now) {
		const struct links_event *event = &script->events[paths->event++];

		paths->links.segments[event->segment].bytes_per_s = event->bytes_per_s;
		changed = true;
		if (paths->event == script->count && script->repeat_s > 0) {
			paths->event = 0;
			paths->round += script->repeat_s;
		}
	}
	return changed;
}

/* When the last byte of the first message leaves, at the rate as it is. */
static double finish_at(const struct path *path)
{
	return path->left > 0 ? path->since + path->left / path->rate : path->since;
}

/* The bytes of messages leave until `now`, at the rates as they are. True: the path is idle now. */
static bool leave(struct paths *paths, struct path *path, double now)
{
	while (path->waiting.first && path->finish <= now) {
		struct parcel *parcel = parcels_take(&path->waiting);

		parcel->left = true;
		parcel->arrives_at = path->finish + path->delay_s;
		parcels_add(&path->travelling, parcel);
		paths->on_left(paths->arg, parcel);
		if (!path->waiting.first)
			return true;
		path->since = path->finish;
		path->left = (double)path->waiting.first->bytes;
		path->finish = finish_at(path);
	}
	return false;
}

/* Rates from `now` on. */
static void share(struct paths *paths, double now)
{
	size_t count = 0;

	for (size_t i = 0; i < paths->active_count; i++) {
		struct path *path = &paths->paths[paths->active[i]];
		int from = paths->active[i] / paths->world, to = paths->active[i] % paths->world;

		if (!path->waiting.first || path->fresh)
			continue;
		if (now > path->since)
			path->left = fmax(path->left - path->rate * (now - path->since), 0);
		path->since = now;
		paths->hops[count] = (struct flow_hop){ paths->host_of[from], paths->host_of[to] };
		paths->flows[count] = (struct flow){ &paths->hops[count], 1, path->left, INFINITY };
		paths->senders[count++] = paths->active[i];
	}
	flow_rates(paths->net, paths->flows, count, paths->rates, NULL);
	for (size_t i = 0; i < count; i++) {
		struct path *path = &paths->paths[paths->senders[i]];

		path->rate = paths->rates[i];
		path->finish = finish_at(path);
	}
	paths->changed_at = INFINITY;
}

/* What happens on one path until `now`. True: rates change. */
static bool advance_path(struct paths *paths, struct path *path, double now,
			 struct parcels *arrived)
{
	bool changed = false;

	if (path->waiting.first && path->fresh && path->since <= now) {
		path->fresh = false;
		changed = true;
	}
	changed |= leave(paths, path, now);
	while (path->travelling.first && path->travelling.first->arrives_at <= now)
		parcels_add(arrived, parcels_take(&path->travelling));
	return changed;
}

/* To the moment `now`, when the next thing happens, or several do. */
static void step(struct paths *paths, double now, struct parcels *arrived)
{
	bool changed = play(paths, now) || paths->changed_at <= now;

	for (size_t i = paths->active_count; i-- > 0;) {
		struct path *path = &paths->paths[paths->active[i]];

		changed |= advance_path(paths, path, now, arrived);
		if (path->waiting.first || path->travelling.first)
			continue;
		path->active = false;
		paths->active[i] = paths->active[--paths->active_count];
	}
	if (changed)
		share(paths, now);
}

void paths_advance(struct paths *paths, double now, struct parcels *arrived)
{
	for (;;) {
		double next = paths_next(paths);

		if (next > now)
			break;
		step(paths, paths->active_count > EXACT ? now : next, arrived);
	}
}

bool paths_remove(struct paths *paths, struct parcel *parcel, double now)
{
	struct path *path = &paths->paths[parcel->from * paths->world + parcel->to];
	bool first = path->waiting.first == parcel;

	if (parcel->left)
		return parcels_remove(&path->travelling, parcel);
	if (!parcels_remove(&path->waiting, parcel))
		return false;
	if (first)
		paths->changed_at = fmin(paths->changed_at, now);
	if (first && path->waiting.first)
		begin_first(path, now);
	return true;
}
