/* Orders of the ranks: by racks, which are the small sides of segments, and by rates. */
#include "lib/plan_layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/links.h"
#include "lib/memory.h"

/* Rates that differ by less are the same to a ring. */
static const double SAME = 0.9;

/* Ranks that are behind one segment together. */
struct set {
	int count;
	bool *has; /* [world] */
};
struct sets {
	struct set *sets;
	size_t count;
	int world;
};

static void sets_release(struct sets *sets)
{
	for (size_t i = 0; i < sets->count; i++)
		free(sets->sets[i].has);
	free(sets->sets);
}

/* Takes `has` over. */
static void add_set(struct sets *sets, bool *has)
{
	int count = 0;

	for (int i = 0; i < sets->world; i++)
		count += has[i];
	if (count > sets->world / 2)
		count = 0;
	for (size_t i = 0; i < sets->count && count >= 2; i++)
		if (memcmp(sets->sets[i].has, has, (size_t)sets->world) == 0)
			count = 0;
	if (count < 2) {
		free(has);
		return;
	}
	sets->sets = xgrow(sets->sets, sets->count, sizeof(*sets->sets));
	sets->sets[sets->count++] = (struct set){ count, has };
}

static void add_side(struct sets *sets, const bool *hosts, const int *host_of)
{
	bool *has = xcalloc((size_t)sets->world, sizeof(*has));

	for (int i = 0; i < sets->world; i++)
		has[i] = hosts[host_of[i]];
	add_set(sets, has);
}

static bool sides_meet(const struct link_segment *segment, size_t hosts)
{
	for (size_t h = 0; h < hosts; h++)
		if (segment->from[h] && segment->to[h])
			return true;
	return false;
}

static int by_count(const void *left, const void *right)
{
	const struct set *a = left, *b = right;

	if (a->count != b->count)
		return a->count < b->count ? -1 : 1;
	for (int i = 0;; i++) /* they differ */
		if (a->has[i] != b->has[i])
			return a->has[i] ? -1 : 1;
}

/* What is behind an uplink is all of one side, and nothing of the other. */
static struct sets sets_of_segments(const struct links *links, const int *host_of, int world)
{
	struct sets sets = { .world = world };

	for (size_t s = 0; s < links->segment_count; s++) {
		const struct link_segment *segment = &links->segments[s];

		if (sides_meet(segment, links->hosts))
			continue;
		add_side(&sets, segment->from, host_of);
		add_side(&sets, segment->to, host_of);
	}
	if (sets.count > 0)
		qsort(sets.sets, sets.count, sizeof(*sets.sets), by_count);
	return sets;
}

/* Each host with several ranks; a set where all have. */
static struct sets sets_of_hosts(const struct links *links, const int *host_of, int world)
{
	struct sets sets = { .world = world };
	bool *host = xcalloc(links->hosts, sizeof(*host));

	for (size_t h = 0; h < links->hosts; h++) {
		host[h] = true;
		add_side(&sets, host, host_of);
		host[h] = false;
	}
	free(host);
	return sets;
}

/* Puts the members of a set where the first of them is; what was together before stays so, unless
 * it is a part of the set only partly. */
static void bring_together(int *order, const struct set *set, int world)
{
	int *next = xcalloc((size_t)world, sizeof(*next));
	int filled = 0;
	bool met = false;

	for (int i = 0; i < world; i++) {
		if (!set->has[order[i]]) {
			next[filled++] = order[i];
			continue;
		}
		for (int j = i; j < world && !met; j++)
			if (set->has[order[j]])
				next[filled++] = order[j];
		met = true;
	}
	memcpy(order, next, (size_t)world * sizeof(*order));
	free(next);
}

/* The smallest sets that do not overlap; those left over are one more. */
static void find_racks(struct plan_layout *layout, const struct sets *sets)
{
	int left = layout->world, racks = 0;

	for (int i = 0; i < layout->world; i++)
		layout->rack_of[i] = -1;
	for (size_t s = 0; s < sets->count; s++) {
		bool overlaps = false;

		for (int i = 0; i < layout->world; i++)
			overlaps |= sets->sets[s].has[i] && layout->rack_of[i] >= 0;
		for (int i = 0; i < layout->world && !overlaps; i++)
			if (sets->sets[s].has[i])
				layout->rack_of[i] = racks;
		racks += !overlaps;
		left -= overlaps ? 0 : sets->sets[s].count;
	}
	for (int i = 0; i < layout->world; i++)
		if (layout->rack_of[i] < 0)
			layout->rack_of[i] = racks;
	layout->racks = racks == 0 ? 0 : racks + (left > 0);
}

/* The racks as groups, in the order of `major`, in which each is together. */
static struct partition rack_groups(const struct plan_layout *layout)
{
	struct partition racks = partition_flat(layout->world, layout->major);

	racks.sizes = xrealloc(racks.sizes, (size_t)layout->racks, sizeof(int));
	memset(racks.sizes, 0, (size_t)layout->racks * sizeof(int));
	racks.groups = 0;
	for (int i = 0; i < layout->world; i++) {
		bool same = i > 0 && layout->rack_of[layout->major[i]] ==
					     layout->rack_of[layout->major[i - 1]];

		racks.groups += !same;
		racks.sizes[racks.groups - 1]++;
	}
	return racks;
}

/* Rank j of each rack, for j = 0, 1, ... */
static void interleave(struct plan_layout *layout)
{
	int filled = 0;

	for (int j = 0; filled < layout->world; j++) {
		const int *ranks = layout->rack.ranks;

		PARTITION_GROUPS (&layout->rack, g, ranks)
			if (j < layout->rack.sizes[g])
				layout->interleaved[filled++] = ranks[j];
	}
}

struct plan_layout plan_layout_new(const struct links *links, const int *host_of, int world)
{
	struct plan_layout layout = { .world = world,
				      .rack_of = xcalloc((size_t)world, sizeof(int)),
				      .major = xcalloc((size_t)world, sizeof(int)),
				      .interleaved = xcalloc((size_t)world, sizeof(int)) };
	struct sets hosts = sets_of_hosts(links, host_of, world);
	struct sets segments = sets_of_segments(links, host_of, world);
	struct set rack = { .has = xcalloc((size_t)world, sizeof(bool)) };

	for (int i = 0; i < world; i++)
		layout.major[i] = i;
	for (size_t s = 0; s < hosts.count; s++)
		bring_together(layout.major, &hosts.sets[s], world);
	for (size_t s = 0; s < segments.count; s++)
		bring_together(layout.major, &segments.sets[s], world);
	find_racks(&layout, segments.count > 0 ? &segments : &hosts);
	for (int r = 0; r < layout.racks; r++) {
		for (int i = 0; i < world; i++)
			rack.has[i] = layout.rack_of[i] == r;
		bring_together(layout.major, &rack, world);
	}
	if (layout.racks > 0) {
		layout.rack = rack_groups(&layout);
		interleave(&layout);
	}
	free(rack.has);
	sets_release(&hosts);
	sets_release(&segments);
	return layout;
}

void plan_layout_release(struct plan_layout *layout)
{
	free(layout->rack_of);
	free(layout->major);
	free(layout->interleaved);
	partition_release(&layout->rack);
	*layout = (struct plan_layout){ 0 };
}

/* Only the members of both sides are looked at: often it is one of the two. */
static void limit_rates(double *rates, const struct link_segment *segment, size_t hosts, size_t *to)
{
	size_t count = 0;

	for (size_t h = 0; h < hosts; h++)
		if (segment->to[h])
			to[count++] = h;
	for (size_t from = 0; from < hosts; from++)
		for (size_t i = 0; segment->from[from] && i < count; i++) {
			double *rate = &rates[from * hosts + to[i]];

			if (from != to[i])
				*rate = fmin(*rate, segment->bytes_per_s);
		}
}

double *plan_rates(const struct links *links)
{
	size_t n = links->hosts, *to = xcalloc(n, sizeof(*to));
	double *rates = xcalloc(n * n, sizeof(*rates));

	for (size_t i = 0; i < n * n; i++)
		rates[i] = links->pairs[i].bytes_per_s;
	for (size_t s = 0; s < links->segment_count; s++)
		limit_rates(rates, &links->segments[s], n, to);
	for (size_t h = 0; h < n; h++)
		if (isnan(rates[h * n + h]))
			rates[h * n + h] = INFINITY; /* within a host: as good as it gets */
	free(to);
	return rates;
}

static bool is_better_hop(const struct links *links, const double *rates, int from, int to,
			  int best)
{
	size_t n = links->hosts;
	double rate = rates[(size_t)from * n + to], most = rates[(size_t)from * n + best];
	double rtt = links_pair(links, from, to)->rtt_s;
	double least = links_pair(links, from, best)->rtt_s;

	if (to == best)
		return false;
	if (rate < most * SAME || most < rate * SAME)
		return rate > most;
	return rtt < least;
}

void plan_greedy_order(int *order, const struct links *links, const double *rates,
		       const int *host_of, int world)
{
	for (int i = 0; i < world; i++)
		order[i] = i;
	for (int i = 0; i + 2 < world; i++) {
		int best = i + 1, kept = order[i + 1];

		for (int j = i + 2; j < world; j++)
			if (is_better_hop(links, rates, host_of[order[i]], host_of[order[j]],
					  host_of[order[best]]))
				best = j;
		order[i + 1] = order[best];
		order[best] = kept;
	}
}
