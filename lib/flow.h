/*
 * Flows that compete for links, fluid model: max-min fair rates by progressive filling (Bertsekas
 * and Gallager, "Data Networks", 1992, section 6.5.2), and when each of some flows is done. Pure.
 */
#ifndef DSTRAIN_LIB_FLOW_H
#define DSTRAIN_LIB_FLOW_H

#include <stddef.h>

struct flow_net;
struct links;

/*
 * Hops that move at one pace, such as all the hops of a ring: a bundle of one hop is a plain flow.
 * A hop within a host costs nothing, unless links know its rate.
 */
struct flow_hop {
	int from, to; /* hosts */
};
struct flow {
	const struct flow_hop *hops; /* [count], borrowed */
	size_t count;
	double bytes; /* over each hop */
	double most;  /* bytes per second that it asks for; INFINITY: as much as there is */
};

/* Finds quickly which segments a hop crosses. Borrows `links`; capacities are read at each call. */
struct flow_net *flow_net_new(const struct links *links);
void flow_net_free(struct flow_net *net); /* may be NULL */

/* What holds a flow back, if that is no segment: the pair's own rate, or what it asks for. */
enum { FLOW_BY_PAIR = -1, FLOW_BY_MOST = -2 };

/* rates[count]: bytes per second over each hop of a flow. limits[count], or NULL: the number of the
 * segment that holds it back, or one of these. */
void flow_rates(struct flow_net *net, const struct flow *flows, size_t count, double *rates,
		int *limits);
/* finish[count]: seconds from now until each is done, all beginning now. Returns the longest. */
double flow_finish(struct flow_net *net, const struct flow *flows, size_t count, double *finish);

#endif
