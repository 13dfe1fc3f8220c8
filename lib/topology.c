/* The links that a tree of racks and hosts comes to. */
#include "lib/topology.h"

#include <math.h>
#include <stdlib.h>

#include "lib/links.h"
#include "lib/links_file.h"
#include "lib/memory.h"

static bool is_in(const struct topology *t, int node, int ancestor)
{
	while (node != TOPOLOGY_CORE && node != ancestor)
		node = t->nodes[node].parent;
	return node == ancestor;
}

/* The sum of the delays on the way up to the first rack that `other` is in, too. */
static double climb(const struct topology *t, int node, int other)
{
	double delay_s = 0;

	for (; node != TOPOLOGY_CORE && !is_in(t, other, node); node = t->nodes[node].parent)
		delay_s += t->nodes[node].delay_s;
	return delay_s;
}

static void set_delays(const struct topology *t, struct links *out, const int *nodes)
{
	for (size_t i = 0; t->has_delay && i < out->hosts; i++)
		for (size_t j = 0; j < out->hosts; j++) {
			struct link_pair *pair = links_pair(out, i, j);

			if (i == j)
				continue;
			pair->rtt_s =
				2 * (climb(t, nodes[i], nodes[j]) + climb(t, nodes[j], nodes[i]));
			pair->rtt_min_s = pair->rtt_s;
		}
}

static void add_segment(const struct topology *t, struct links *out, const int *hosts, int node,
			enum topology_way way)
{
	const struct topology_node *n = &t->nodes[node];
	char *name = xasprintf("%s.%s", n->name, topology_way_names[way]);
	struct link_segment *segment = links_add_segment(out, name, n->bytes_per_s[way]);

	for (size_t i = 0; i < out->hosts; i++) {
		bool inside = is_in(t, hosts[i], node);

		segment->from[i] = inside == (way == TOPOLOGY_UP);
		segment->to[i] = inside == (way == TOPOLOGY_DOWN);
	}
	free(name);
}

/* Segments of the hosts first, then of the racks; `numbers` [nodes][ways] are what they get. */
static void add_segments(const struct topology *t, struct links *out, const int *hosts,
			 size_t (*numbers)[2])
{
	for (size_t i = 0; i < 2 * t->count; i++) {
		size_t node = i % t->count;
		const struct topology_node *n = &t->nodes[node];

		if (n->is_rack != (i >= t->count))
			continue;
		for (enum topology_way way = TOPOLOGY_UP; way <= TOPOLOGY_DOWN; way++) {
			if (isnan(n->bytes_per_s[way]) && !n->changes[way])
				continue;
			numbers[node][way] = out->segment_count;
			add_segment(t, out, hosts, (int)node, way);
		}
	}
}

static void make_script(const struct topology *t, struct links_script *script, size_t (*numbers)[2])
{
	size_t host = 0;

	*script = (struct links_script){
		.events = xcalloc(t->change_count, sizeof(*script->events)),
		.count = t->change_count,
		.repeat_s = t->change_count ? t->repeat_s : 0,
		.slots = t->has_slots ? xcalloc(t->hosts, sizeof(*script->slots)) : NULL,
	};
	for (size_t i = 0; i < t->change_count; i++) {
		const struct topology_change *change = &t->changes[i];

		script->events[i] =
			(struct links_event){ change->at_s, numbers[change->node][change->way],
					      change->bytes_per_s };
	}
	for (size_t i = 0; script->slots && i < t->count; i++)
		if (!t->nodes[i].is_rack)
			script->slots[host++] = t->nodes[i].slots;
}

void topology_links(const struct topology *topology, struct links *out, struct links_script *script)
{
	size_t(*numbers)[2] = xcalloc(topology->count, sizeof(*numbers));
	const char **names = xcalloc(topology->hosts, sizeof(*names));
	int *hosts = xcalloc(topology->hosts, sizeof(*hosts));
	size_t count = 0;

	for (size_t i = 0; i < topology->count; i++)
		if (!topology->nodes[i].is_rack) {
			names[count] = topology->nodes[i].name;
			hosts[count++] = (int)i;
		}
	links_init(out, names, count);
	add_segments(topology, out, hosts, numbers);
	set_delays(topology, out, hosts);
	if (script)
		make_script(topology, script, numbers);
	free(numbers);
	free(names);
	free(hosts);
}
