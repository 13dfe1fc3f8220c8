/* What arrives within a window of time: the rate, and how sure it is. */
#ifndef DSTRAIN_RUNTIME_PROBE_TALLY_H
#define DSTRAIN_RUNTIME_PROBE_TALLY_H

#include <stdbool.h>
#include <stddef.h>

enum { PROBE_PARTS = 20 }; /* of a window, compared with each other */

/* Zeroed but for `seconds`. */
struct probe_tally {
	double seconds; /* how long the window is */
	double bytes;	/* since it began */
	struct {
		double at, bytes;
	} marks[PROBE_PARTS + 1]; /* the first one is its beginning */
	size_t count;
};

/* A message came. The first one only begins the window. True: the window is over. */
bool probe_tally_add(struct probe_tally *tally, double now, size_t bytes);
double probe_tally_rate(const struct probe_tally *tally); /* bytes per second */
/* Half of the 95 % interval of the mean, as a part of it; parts of the window that resemble the
 * one before count for less, and those that make up for it for more. 1: too few parts to say. */
double probe_tally_spread(const struct probe_tally *tally);

#endif
