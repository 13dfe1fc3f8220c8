/* Stages of a collective in the making: what is sent at once, and what the groups took so far. */
#ifndef DSTRAIN_LIB_COST_STAGE_H
#define DSTRAIN_LIB_COST_STAGE_H

#include "lib/cost.h"
#include "lib/flow.h"

/* All that is under way at the same time. */
struct cost_stage {
	struct flow_hop *hops;
	struct flow *flows;
	int *group; /* that a flow belongs to */
	double *finish;
	size_t hop_count, count;
};

/* What `groups` took in the stages so far. */
struct cost_total {
	const struct cost_env *env;
	int groups;
	struct cost_stage stage;
	double *seconds, *latency;	       /* [groups] */
	double *stage_seconds, *stage_latency; /* [groups] of this stage */
	double longest_s;		       /* stage so far */
	struct cost cost;
};

/* Room for `hops` in one stage. */
struct cost_total cost_total_new(const struct cost_env *env, int groups, int hops);
/* What the slowest group took. Releases `total`. */
struct cost cost_total_end(struct cost_total *total, double bytes_sent);

/* A ring in each group, or all as one if there is but one: of an allreduce of `bytes` (2 passes),
 * or half of one. */
void cost_add_rings(struct cost_total *total, const struct partition *rings, int passes,
		    double bytes);
/* The same for blocks of `bytes`, one of each member, that go to all others. */
void cost_add_gathers(struct cost_total *total, const struct partition *rings, double bytes);
/* A message between two ranks of a group, alone on its way. */
void cost_add_message(struct cost_total *total, int group, int from, int to, double bytes);
/* The group's messages of this stage are there no sooner. */
void cost_wait_for(struct cost_total *total, int group, double latency);
/* Runs what was added; the next stage is empty. */
void cost_run_stage(struct cost_total *total);

/* Until the first byte of a message between two hosts is there. */
double cost_latency(const struct cost_env *env, int from, int to);
int cost_largest_group(const struct partition *partition);
/* Ring j: rank j of every group. Where a group is smaller, one of it serves more slices. */
struct partition cost_across_groups(const struct partition *partition);

#endif
