/*
 * Where a rank may be stopped. Ranks are not in step with each other to the instant, so they agree
 * on a step to stop at like this: the orchestrator asks each to hold; each names the first step
 * that it has not begun, and does not begin it; the orchestrator tells all the largest of these.
 * Ranks that a synchronous peer still waits for go on until then, so nobody blocks.
 */
#ifndef DSTRAIN_RUNTIME_GATE_H
#define DSTRAIN_RUNTIME_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Lasts as long as the process does. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t next;  /* lock: first step not begun */
	size_t hold;  /* lock: do not begin this step before `until` is known */
	size_t until; /* lock: do not begin this step at all */
	bool ends;    /* lock: `until` is where training ends */
};

void gate_init(struct gate *gate, size_t first_step);
/* Before a step: may it begin? Blocks while held. False: stop here. */
bool gate_pass(struct gate *gate, size_t step);
size_t gate_hold(struct gate *gate);		 /* returns the step held at */
void gate_until(struct gate *gate, size_t step); /* ends the hold */
/* Sleeps until then (clock_now), or until the rank is to hold or to stop somewhere: false. */
bool gate_doze(struct gate *gate, double until);
bool gate_closes(struct gate *gate);	       /* gate_until was called */
void gate_end(struct gate *gate, size_t step); /* gate_until, but that training ends there */
bool gate_ends(struct gate *gate);	       /* gate_end was called */

#endif
