/*
 * Predicted seconds of collectives on given links: latency of the rounds as in coll_cost, and
 * bandwidth by the flow model, with all groups of a partition under way at once. Pure.
 */
#ifndef DSTRAIN_LIB_COST_H
#define DSTRAIN_LIB_COST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/groups.h"

struct flow_net;
struct links;

/* Ranks on hosts. All borrowed. */
struct cost_env {
	const struct links *links;
	struct flow_net *net; /* of `links` */
	const int *host_of;   /* [world] */
	int world;
	double bytes; /* of the vector */
	bool brief;   /* seconds alone: not what holds it back, which takes as long again */
};

struct cost {
	double seconds;	   /* of the slowest group */
	double latency_s;  /* of it, that does not depend on the bytes */
	int slowest;	   /* that group */
	int limit;	   /* the segment that holds it back, or as flow_rates */
	int crossing;	   /* hops over that segment at once; 0: it is none */
	int from, to;	   /* hosts: its slowest hop */
	double bytes_sent; /* by a rank, at most */
};

/* An allreduce in each group, by these algorithms. Of a group of one: nothing. */
struct cost cost_ring(const struct cost_env *env, const struct partition *partition);
struct cost cost_halving_doubling(const struct cost_env *env, const struct partition *partition);
struct cost cost_tree(const struct cost_env *env, const struct partition *partition);
/* seconds[groups] that the bytes take in each group's ring, without the latency of its rounds. */
void cost_ring_bytes(const struct cost_env *env, const struct partition *partition,
		     double *seconds);
/* Reduce-scatter within each group, a ring allreduce across for each slice, allgather within. */
struct cost cost_hierarchical(const struct cost_env *env, const struct partition *partition);

#endif
