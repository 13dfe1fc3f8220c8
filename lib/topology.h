/*
 * A network as a tree: hosts with NICs, racks of hosts or of racks with uplinks, each with rates
 * and a delay; and what changes while a run goes on. Read from the file that the lab of the tests
 * is built from, too.
 */
#ifndef DSTRAIN_LIB_TOPOLOGY_H
#define DSTRAIN_LIB_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct links;
struct links_script;
struct problems;

enum topology_way { TOPOLOGY_UP, TOPOLOGY_DOWN }; /* towards the core, away from it */
extern const char *const topology_way_names[2];

enum { TOPOLOGY_CORE = -1 };

/* A host or a rack, and its link towards the core. */
struct topology_node {
	char *name; /* owned */
	bool is_rack;
	int parent;	       /* the rack that it is in, or TOPOLOGY_CORE */
	double bytes_per_s[2]; /* of payload, by way; NAN: as fast as there is */
	bool changes[2];       /* there are changes of that way */
	double delay_s;	       /* each way */
	size_t slots;
};

struct topology_change {
	double at_s, bytes_per_s;
	int node;
	enum topology_way way;
};

struct topology {
	struct topology_node *nodes; /* a rack before what is in it; owned */
	size_t count, hosts;
	bool has_delay, has_slots;
	struct topology_change *changes; /* in order of time; owned */
	size_t change_count;
	double repeat_s;
};

/* Of YAML text; `name` stands for the file. Problems as hosts_load. */
int topology_read(struct topology *out, const char *text, size_t length, const char *name,
		  struct problems *problems, struct error *err);
/* Hosts in the order of the nodes; a segment for each way that has a rate, or gets one. `script`
 * may be NULL. */
void topology_links(const struct topology *topology, struct links *out,
		    struct links_script *script);
void topology_release(struct topology *topology);

#endif
