/*
 * Orders of the ranks for a planner: by the racks (or sites, or hosts) that segments tell, and by
 * what the links between hosts carry. Pure.
 */
#ifndef DSTRAIN_LIB_PLAN_LAYOUT_H
#define DSTRAIN_LIB_PLAN_LAYOUT_H

#include <stdbool.h>

#include "lib/groups.h"

struct links;

struct plan_layout {
	int world;
	int racks;	       /* 0: no segment tells any */
	int *rack_of;	       /* [world] */
	int *major;	       /* [world] ranks, rack after rack, racks of a site together */
	int *interleaved;      /* [world] one of each rack in turn */
	struct partition rack; /* the racks as groups; unless racks is 0 */
};

struct plan_layout plan_layout_new(const struct links *links, const int *host_of, int world);
void plan_layout_release(struct plan_layout *layout);

/* links_rate of all pairs [hosts * hosts], in much less time; a host with itself: at most INFINITY.
 * Caller frees. */
double *plan_rates(const struct links *links);

/* A ring that begins with rank 0 and always goes on to the rank that the fastest way leads to, the
 * nearest of those about as fast. */
void plan_greedy_order(int *order, const struct links *links, const double *rates,
		       const int *host_of, int world);

#endif
