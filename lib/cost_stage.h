/* Stages of a collective in the making: what is sent at once, and what the groups took so far. */
#ifndef DSTRAIN_LIB_COST_STAGE_H
#define DSTRAIN_LIB_COST_STAGE_H

#include "lib/cost.h"
#include "lib/flow.h"

/* Of a rank's own work, what each message adds that is sent together with others, in seconds: as in
 * runtime/coll_cost.c. */
#define COST_MORE_S 5e-6

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

/* From every member to every other of its group, all at once, `bytes` each: a stage by itself. */
void cost_run_pairs(struct cost_total *total, const struct partition *groups, double bytes);

/* What ranks measure of a ring of n before they choose how to go on. */
struct cost_pace {
	int n;
	double alpha_s, beta_s; /* until a message is there; for each of its bytes */
};
/* By such figures: what a sum of pairs takes, the codec of pairs included. */
double cost_sparse_seconds(const struct cost_codec *codec, const struct cost_pace *pace,
			   double bytes);
/* Runs the stages of that way which the pace makes the shorter one; bytes_sent and codec_s. */
struct cost cost_run_sparse(struct cost_total *total, const struct cost_env *env,
			    const struct partition *groups, const struct cost_pace *pace);

/* Until the first byte of a message between two hosts is there. */
double cost_latency(const struct cost_env *env, int from, int to);
int cost_largest_group(const struct partition *partition);
/* Ring j: rank j of every group. Where a group is smaller, one of it serves more slices. */
struct partition cost_across_groups(const struct partition *partition);

#endif
