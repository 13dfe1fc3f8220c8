/* A step of a survey on all ranks: rank 0 says what it is, and gathers what they have measured. */
#ifndef DSTRAIN_RUNTIME_PROBE_STEP_H
#define DSTRAIN_RUNTIME_PROBE_STEP_H

#include <stdint.h>

#include "lib/survey.h"

struct error;
struct net;

/* Zeroed but for `net` before probe_team_begin. */
struct probe_team {
	struct net *net;
	void *noise;
	double *rtt_least;
	uint32_t steps; /* so far */
	double bytes;	/* that flows have brought to rank 0's knowledge */
};

void probe_team_begin(struct probe_team *team);
void probe_team_release(struct probe_team *team);

/* On rank 0: runs it; results[step->count]. Blocks. A failure aborts the net. */
int probe_team_lead(struct probe_team *team, const struct survey_step *step,
		    struct survey_result *results, struct error *err);
int probe_team_dismiss(struct probe_team *team, struct error *err); /* the last word */
/* On all others: does what rank 0 says until it dismisses them. */
int probe_team_follow(struct probe_team *team, struct error *err);

#endif
