/*
 * Whether links still carry what they did: judged by what averages within groups take, while
 * nothing but training is under way. Knows no network; rank 0 asks it.
 */
#ifndef DSTRAIN_RUNTIME_DS_WATCH_H
#define DSTRAIN_RUNTIME_DS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct ds_watch;
struct links;
struct schedule;

/* All borrowed. */
struct ds_watch_env {
	const struct links *links; /* as they were measured */
	const int *host_of;	   /* [world] */
	int world;
	double bytes;	      /* that are averaged */
	double compute_s;     /* of a step; NAN: unknown */
	bool overlap;	      /* averages hide behind that */
	int consensus_period; /* steps */
	int most_phases;      /* of a schedule */
	uint64_t seed;
};

struct ds_watch *ds_watch_new(const struct ds_watch_env *env);
void ds_watch_free(struct ds_watch *watch); /* may be NULL */

/* For a checkpoint: what of its measured rate each segment is taken to have, [segments]. */
float *ds_watch_parts(struct ds_watch *watch);

/* What all ranks needed, from step `first` on: seconds[rank * steps + i] of the average in step
 * first + i. */
struct ds_window {
	uint64_t first;
	size_t steps;
	const float *seconds;
};

/*
 * Another window, all of whose steps had the groups of `schedule`. True: links have changed for
 * good, and the groups in *better (the caller's to release) are faster on them. `reason` says what
 * has changed whenever something did.
 */
bool ds_watch_take(struct ds_watch *watch, const struct schedule *schedule,
		   const struct ds_window *window, struct schedule *better, struct buf *reason);

#endif
