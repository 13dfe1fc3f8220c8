/* Links made up for tests: racks of hosts with equal NICs behind uplinks. */
#ifndef DSTRAIN_TESTS_RACK_LINKS_H
#define DSTRAIN_TESTS_RACK_LINKS_H

#include <math.h>
#include <stdio.h>

#include "lib/links.h"

static inline void add_port(struct links *links, const char *name, double rate, size_t first,
			    size_t count)
{
	static const char *const ways[] = { "up", "down" };
	char text[64];

	for (size_t way = 0; way < 2; way++) {
		struct link_segment *segment;

		snprintf(text, sizeof(text), "%s.%s", name, ways[way]);
		segment = links_add_segment(links, text, rate);
		for (size_t h = 0; h < links->hosts; h++) {
			bool inside = h >= first && h < first + count;

			segment->from[h] = inside == (way == 0);
			segment->to[h] = inside == (way == 1);
		}
	}
}

/* Hosts h0, h1, ... rack after rack; uplink 0: one switch for all. */
static inline struct links racks_of(const size_t *sizes, size_t racks, double nic, double uplink)
{
	const char *names[64] = { 0 };
	char text[64][24], name[32];
	struct links links;
	size_t hosts = 0, first = 0;

	for (size_t r = 0; r < racks; r++)
		hosts += sizes[r];
	for (size_t h = 0; h < hosts; h++) {
		snprintf(text[h], sizeof(text[h]), "h%zu", h);
		names[h] = text[h];
	}
	links_init(&links, names, hosts);
	for (size_t h = 0; h < hosts; h++)
		add_port(&links, names[h], nic, h, 1);
	for (size_t r = 0; r < racks && uplink > 0; first += sizes[r++]) {
		snprintf(name, sizeof(name), "rack%zu", r);
		add_port(&links, name, uplink, first, sizes[r]);
	}
	return links;
}

static inline void set_rtt(struct links *links, double rtt_s)
{
	for (size_t i = 0; i < links->hosts * links->hosts; i++)
		links->pairs[i].rtt_s = rtt_s;
}

#endif
