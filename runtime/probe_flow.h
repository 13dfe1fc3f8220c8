/* One end of a flow or of a ping: what its thread does. */
#ifndef DSTRAIN_RUNTIME_PROBE_FLOW_H
#define DSTRAIN_RUNTIME_PROBE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/survey.h"

struct error;
struct probe_site;

/* What the others want of a flow, and what it has come to. */
enum probe_phase { PROBE_RISE, PROBE_MEASURE, PROBE_END };

struct probe_flow {
	const struct probe_site *site;
	int peer;
	uint32_t step, number;
	double seconds; /* of the window, or of the pings */
	/* Called by the thread: the phase that is wanted now, and something has been reached. */
	enum probe_phase (*phase)(void *arg);
	void (*reached)(struct probe_flow *flow, enum probe_phase phase);
	void *arg;
	bool up, measured;	     /* set by `reached` */
	struct survey_result result; /* once it is measured */
	double bytes;		     /* that came in all */
};

int probe_flow_send(struct probe_flow *flow, struct error *err);
int probe_flow_receive(struct probe_flow *flow, struct error *err);
int probe_ping(struct probe_flow *flow, struct error *err);
int probe_pong(struct probe_flow *flow, struct error *err);

#endif
