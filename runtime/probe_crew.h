/*
 * This rank's ends of the flows and pings of one step, each on a thread of its own. A receiver asks
 * for messages, some of them in advance, and its sender sends what was asked for: so a flow ends
 * with nothing on its way.
 */
#ifndef DSTRAIN_RUNTIME_PROBE_CREW_H
#define DSTRAIN_RUNTIME_PROBE_CREW_H

#include <stddef.h>
#include <stdint.h>

#include "lib/survey.h"

struct error;
struct net;
struct probe_crew;

/* What outlives a step. Borrowed by the crews. */
struct probe_site {
	struct net *net;
	const void *noise; /* PROBE_CHUNK_MOST bytes that nothing can compress */
	double *rtt_least; /* [world] seconds; INFINITY: unknown */
};

/* Begins this rank's part; `step` and its flows are borrowed until probe_crew_end. `number` tells
 * this step from others. */
struct probe_crew *probe_crew_begin(const struct probe_site *site, const struct survey_step *step,
				    uint32_t number);
/* These block, within the net's timeout for each message. */
int probe_crew_wait_up(struct probe_crew *crew, struct error *err); /* all that is received */
int probe_crew_measure(struct probe_crew *crew, struct error *err); /* a window; or all pings */
/* results[step->count]: fills in what this rank has measured. */
void probe_crew_results(const struct probe_crew *crew, struct survey_result *results);
/* Ends the flows, in good order unless something failed; adds what they brought here to *bytes.
 * Frees the crew. */
int probe_crew_end(struct probe_crew *crew, double *bytes, struct error *err);

/* Which rank measures a flow. */
int probe_crew_judge(const struct survey_step *step, size_t flow);

#endif
