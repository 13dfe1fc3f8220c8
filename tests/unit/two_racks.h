/* Two racks of four hosts, and what averages take there by the model of their links. */
#ifndef DSTRAIN_TESTS_TWO_RACKS_H
#define DSTRAIN_TESTS_TWO_RACKS_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/flow.h"
#include "lib/groups.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "runtime/rng.h"

enum { HOSTS = 8, RACK = 4 };

#define NIC    12.5e6 /* bytes per second */
#define UPLINK 50e6
#define BYTES  1e6

static const int host_of[HOSTS] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static inline void racks_add_segment(struct links *links, const char *name, double rate,
				     size_t first, size_t count, bool up)
{
	struct link_segment *segment = links_add_segment(links, name, rate);

	for (size_t h = 0; h < HOSTS; h++) {
		bool inside = h >= first && h < first + count;

		segment->from[h] = up ? inside : !inside;
		segment->to[h] = up ? !inside : inside;
	}
}

/* Two racks of four. */
static inline void racks_build(struct links *links)
{
	static const char *const names[] = { "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8" };
	char name[16];

	links_init(links, names, HOSTS);
	for (size_t a = 0; a < HOSTS; a++)
		for (size_t b = 0; b < HOSTS; b++)
			if (a != b)
				*links_pair(links, a, b) = (struct link_pair){ .rtt_s = 2e-4,
									       .rtt_min_s = 2e-4,
									       .bytes_per_s = NIC,
									       .spread = NAN };
	for (size_t h = 0; h < HOSTS; h++)
		for (int up = 0; up < 2; up++) {
			snprintf(name, sizeof(name), "h%zu.%s", h + 1, up ? "up" : "down");
			racks_add_segment(links, name, NIC, h, 1, up);
		}
	for (size_t r = 0; r < 2; r++)
		for (int up = 0; up < 2; up++) {
			snprintf(name, sizeof(name), "rack%zu.%s", r + 1, up ? "up" : "down");
			racks_add_segment(links, name, UPLINK, r * RACK, RACK, up);
		}
}

static inline struct link_segment *racks_find(struct links *links, const char *name)
{
	for (size_t i = 0; i < links->segment_count; i++)
		if (strcmp(links->segments[i].name, name) == 0)
			return &links->segments[i];
	abort();
}

static inline void racks_congest(struct links *links, double part)
{
	static const char *const names[] = { "rack1.up", "rack1.down", "rack2.up", "rack2.down" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		racks_find(links, names[i])->bytes_per_s = UPLINK * part;
}

/* What each rank needs for the average of a step. Members come up to 50 ms after each other, but
 * for the one that comes last; 5 % of noise. */
static inline void racks_seconds(struct flow_net *net, const struct schedule *schedule,
				 uint64_t step, float seconds[HOSTS])
{
	const struct partition *p = &schedule->phase[step % (uint64_t)schedule->phases];
	struct rng rng = rng_make(3, RNG_DATA, 0, step);
	struct flow_hop hops[HOSTS];
	struct flow flows[HOSTS];
	double finish[HOSTS];
	int place = 0;

	for (int g = 0, first = 0; g < p->groups; first += p->sizes[g++]) {
		int size = p->sizes[g];

		for (int i = 0; i < size; i++)
			hops[first + i] = (struct flow_hop){ p->ranks[first + i],
							     p->ranks[first + (i + 1) % size] };
		flows[g] = (struct flow){ .hops = hops + first,
					  .count = (size_t)size,
					  .bytes = 2.0 * (size - 1) / size * BYTES,
					  .most = INFINITY };
	}
	flow_finish(net, flows, (size_t)p->groups, finish);
	for (int g = 0; g < p->groups; g++)
		for (int i = 0; i < p->sizes[g]; i++, place++) {
			bool last = (uint64_t)i == step % (uint64_t)p->sizes[g];
			double late = last ? 0 : 0.05 * rng_uniform(&rng, (uint64_t)place);
			double noise = 1 + 0.05 * rng_uniform(&rng, (uint64_t)(HOSTS + place));

			seconds[p->ranks[place]] = (float)(finish[g] * noise + late);
		}
}

#endif
