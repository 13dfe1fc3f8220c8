/* What a network carries: pairs of hosts and the segments that flows share. */
#include "lib/links.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"

void links_init(struct links *links, const char *const *names, size_t hosts)
{
	*links = (struct links){ .hosts = hosts,
				 .names = xcalloc(hosts, sizeof(*links->names)),
				 .pairs = xcalloc(hosts * hosts, sizeof(*links->pairs)) };
	for (size_t i = 0; i < hosts; i++)
		links->names[i] = xstrdup(names[i]);
	for (size_t i = 0; i < hosts * hosts; i++)
		links->pairs[i] = (struct link_pair){ NAN, NAN, NAN, NAN };
}

void links_copy(struct links *to, const struct links *from)
{
	links_init(to, (const char *const *)from->names, from->hosts);
	memcpy(to->pairs, from->pairs, from->hosts * from->hosts * sizeof(*from->pairs));
	for (size_t i = 0; i < from->segment_count; i++)
		links_copy_segment(to, &from->segments[i]);
	if (from->compute_s) {
		to->compute_s = xcalloc(from->hosts, sizeof(*to->compute_s));
		memcpy(to->compute_s, from->compute_s, from->hosts * sizeof(*to->compute_s));
	}
}

void links_release(struct links *links)
{
	for (size_t i = 0; i < links->hosts; i++)
		free(links->names[i]);
	while (links->segment_count)
		links_drop_segment(links, links->segment_count - 1);
	free(links->names);
	free(links->pairs);
	free(links->segments);
	free(links->compute_s);
	*links = (struct links){ 0 };
}

struct link_pair *links_pair(const struct links *links, size_t from, size_t to)
{
	assert(from < links->hosts && to < links->hosts);
	return &links->pairs[from * links->hosts + to];
}

struct link_segment *links_add_segment(struct links *links, const char *name, double bytes_per_s)
{
	struct link_segment *segment;

	links->segments = xgrow(links->segments, links->segment_count, sizeof(*links->segments));
	segment = &links->segments[links->segment_count++];
	*segment = (struct link_segment){ .name = xstrdup(name),
					  .bytes_per_s = bytes_per_s,
					  .spread = NAN,
					  .from = xcalloc(links->hosts, sizeof(bool)),
					  .to = xcalloc(links->hosts, sizeof(bool)) };
	return segment;
}

void links_copy_segment(struct links *to, const struct link_segment *from)
{
	struct link_segment *segment = links_add_segment(to, from->name, from->bytes_per_s);

	segment->spread = from->spread;
	memcpy(segment->from, from->from, to->hosts * sizeof(*from->from));
	memcpy(segment->to, from->to, to->hosts * sizeof(*from->to));
}

void links_drop_segment(struct links *links, size_t number)
{
	struct link_segment *segment = &links->segments[number];

	free(segment->name);
	free(segment->from);
	free(segment->to);
	memmove(segment, segment + 1, (--links->segment_count - number) * sizeof(*segment));
}

bool link_crosses(const struct link_segment *segment, size_t from, size_t to)
{
	return from != to && segment->from[from] && segment->to[to];
}

double links_rate(const struct links *links, size_t from, size_t to)
{
	double rate = links_pair(links, from, to)->bytes_per_s;

	for (size_t i = 0; i < links->segment_count; i++)
		if (link_crosses(&links->segments[i], from, to))
			rate = fmin(rate, links->segments[i].bytes_per_s); /* NAN loses */
	return rate;
}

size_t links_slowest(const struct links *links, size_t from)
{
	size_t slowest = links->hosts;
	double least = INFINITY;

	for (size_t to = 0; to < links->hosts; to++)
		if (to != from && links_rate(links, from, to) < least) {
			least = links_rate(links, from, to);
			slowest = to;
		}
	return slowest;
}

size_t links_find(const struct links *links, const char *name)
{
	size_t i = 0;

	while (i < links->hosts && strcmp(links->names[i], name) != 0)
		i++;
	return i;
}

static bool segment_is_crossed(const struct link_segment *segment, size_t hosts)
{
	for (size_t from = 0; from < hosts; from++)
		for (size_t to = 0; segment->from[from] && to < hosts; to++)
			if (link_crosses(segment, from, to))
				return true;
	return false;
}

/* `old` as the chosen hosts see it; left out where none of them crosses it. */
static void select_segment(struct links *out, const struct link_segment *old, const size_t *chosen)
{
	struct link_segment *segment = links_add_segment(out, old->name, old->bytes_per_s);

	segment->spread = old->spread;
	for (size_t i = 0; i < out->hosts; i++) {
		segment->from[i] = old->from[chosen[i]];
		segment->to[i] = old->to[chosen[i]];
	}
	if (!segment_is_crossed(segment, out->hosts))
		links_drop_segment(out, out->segment_count - 1);
}

int links_select(struct links *out, const struct links *links, const char *const *names,
		 size_t hosts, struct error *err)
{
	size_t *chosen = xcalloc(hosts, sizeof(*chosen));

	for (size_t i = 0; i < hosts; i++) {
		chosen[i] = links_find(links, names[i]);
		if (chosen[i] == links->hosts) {
			free(chosen);
			return error_set(err,
					 "nothing is known about the links of host '%s'; "
					 "measure them with `dstrain probe`",
					 names[i]);
		}
	}
	links_init(out, names, hosts);
	for (size_t i = 0; i < hosts; i++)
		for (size_t j = 0; j < hosts; j++)
			*links_pair(out, i, j) = *links_pair(links, chosen[i], chosen[j]);
	for (size_t i = 0; i < links->segment_count; i++)
		select_segment(out, &links->segments[i], chosen);
	if (links->compute_s) {
		out->compute_s = xcalloc(hosts, sizeof(*out->compute_s));
		for (size_t i = 0; i < hosts; i++)
			out->compute_s[i] = links->compute_s[chosen[i]];
	}
	free(chosen);
	return 0;
}

struct comparison {
	struct links_change *changes;
	size_t count;
	double least;
};

static void compare_rates(struct comparison *c, size_t from, size_t to, const char *segment,
			  double before, double after)
{
	bool same = isnan(before) ? isnan(after) : fabs(after - before) <= c->least * before;

	if (same)
		return;
	c->changes = xgrow(c->changes, c->count, sizeof(*c->changes));
	c->changes[c->count++] = (struct links_change){ from, to, segment, before, after };
}

/* The capacity of the first segment of that name; NAN: none. */
static double segment_rate(const struct links *links, const char *name)
{
	for (size_t i = 0; i < links->segment_count; i++)
		if (strcmp(links->segments[i].name, name) == 0)
			return links->segments[i].bytes_per_s;
	return NAN;
}

/* How much it is, either way up or down; what came or went is more than any other. */
static double change_size(const struct links_change *change)
{
	double size = fabs(log(change->after / change->before));

	return isnan(size) ? INFINITY : size;
}

/* Greatest first; then by name and number, so that the order is the same every time. */
static int by_size(const void *left, const void *right)
{
	const struct links_change *a = left, *b = right;
	double x = change_size(a), y = change_size(b);

	if (x != y)
		return x > y ? -1 : 1;
	if (!a->segment != !b->segment)
		return a->segment ? -1 : 1;
	if (a->segment)
		return strcmp(a->segment, b->segment);
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->to < b->to ? -1 : a->to > b->to;
}

struct links_change *links_compare(const struct links *before, const struct links *after,
				   double least, size_t *count)
{
	struct comparison c = { .least = least };
	size_t *old = xcalloc(after->hosts, sizeof(*old));

	for (size_t i = 0; i < after->hosts; i++)
		old[i] = links_find(before, after->names[i]);
	for (size_t i = 0; i < after->hosts; i++)
		for (size_t j = 0; j < after->hosts; j++)
			if (old[i] < before->hosts && old[j] < before->hosts)
				compare_rates(&c, i, j, NULL,
					      links_pair(before, old[i], old[j])->bytes_per_s,
					      links_pair(after, i, j)->bytes_per_s);
	for (size_t i = 0; i < after->segment_count; i++)
		compare_rates(&c, 0, 0, after->segments[i].name,
			      segment_rate(before, after->segments[i].name),
			      after->segments[i].bytes_per_s);
	for (size_t i = 0; i < before->segment_count; i++)
		if (isnan(segment_rate(after, before->segments[i].name)))
			compare_rates(&c, 0, 0, before->segments[i].name,
				      before->segments[i].bytes_per_s, NAN);
	free(old);
	if (c.count > 0)
		qsort(c.changes, c.count, sizeof(*c.changes), by_size);
	*count = c.count;
	return c.changes;
}
