/*
 * What a network carries: between each ordered pair of hosts, and through the segments that flows
 * share. Measured by a probe, read from a file, or made up. Plain data; hosts are numbered from 0.
 */
#ifndef DSTRAIN_LIB_LINKS_H
#define DSTRAIN_LIB_LINKS_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct error;
struct json;

enum { LINKS_HOSTS = 4096 }; /* at most: pairs grow with the square */

/* One way from a host to another, with nothing else under way. */
struct link_pair {
	double rtt_s, rtt_min_s; /* median and least round trip; NAN: unknown */
	double bytes_per_s;	 /* of payload, one direction; NAN: unknown */
	double spread;		 /* half of its 95 % interval, as a part of it; NAN: unknown */
};

/*
 * A part of the network whose capacity flows share: it is crossed by whatever goes from a host of
 * `from` to another host of `to`. One direction of a NIC or of a rack's uplink is a segment.
 */
struct link_segment {
	char *name;	    /* "h1.up", "rack2.down"; owned */
	double bytes_per_s; /* of payload */
	double spread;	    /* as of a pair; NAN: unknown */
	bool *from, *to;    /* [hosts], owned */
};

struct links {
	size_t hosts;
	char **names;		 /* [hosts] */
	struct link_pair *pairs; /* [hosts * hosts], from * hosts + to; the diagonal is a host
				  * with itself, and unknown unless several ranks are there */
	struct link_segment *segments;
	size_t segment_count;
	double *compute_s; /* [hosts] of one step of a job alone; NULL or NAN: unknown */
};

/* Nothing known, no segments; `names` [hosts] are copied. */
void links_init(struct links *links, const char *const *names, size_t hosts);
void links_copy(struct links *to, const struct links *from);
void links_release(struct links *links);

/* The number of a host; links->hosts if none has that name. */
size_t links_find(const struct links *links, const char *name);
struct link_pair *links_pair(const struct links *links, size_t from, size_t to);
/* A new segment without members; valid until the next one is added. `name` is copied. */
struct link_segment *links_add_segment(struct links *links, const char *name, double bytes_per_s);
/* A copy of one that is of the same number of hosts. */
void links_copy_segment(struct links *to, const struct link_segment *from);
void links_drop_segment(struct links *links, size_t number);
bool link_crosses(const struct link_segment *segment, size_t from, size_t to);
/* The least of the pair's own rate and of the segments on its way; NAN: unknown. */
double links_rate(const struct links *links, size_t from, size_t to);
/* The other host that is reached from this one at the least rate; links->hosts: none is known. */
size_t links_slowest(const struct links *links, size_t from);
/* Hosts in the order of `names` [hosts], which must all be there; others are left out. */
int links_select(struct links *out, const struct links *links, const char *const *names,
		 size_t hosts, struct error *err);

/* links.json and back, as a value and as a text. Unknown numbers are null. */
struct json *links_json(const struct links *links); /* caller frees */
int links_from_json(struct links *out, const struct json *json, struct error *err);
void links_print(const struct links *links, struct buf *out);
int links_parse(struct links *out, const char *text, size_t length, struct error *err);

/* What is different between two measurements of the same hosts. */
struct links_change {
	size_t from, to;      /* hosts in `after`; unless it is a segment */
	const char *segment;  /* its name, borrowed; NULL: a pair */
	double before, after; /* bytes per second; NAN: not there */
};
/* Rates that differ by more than the part `least` (0.1), greatest first. Caller frees. */
struct links_change *links_compare(const struct links *before, const struct links *after,
				   double least, size_t *count);

#endif
