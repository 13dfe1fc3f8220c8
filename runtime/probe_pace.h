/* How many bytes of a flow are under way at a time: enough to fill the path, and little more. */
#ifndef DSTRAIN_RUNTIME_PROBE_PACE_H
#define DSTRAIN_RUNTIME_PROBE_PACE_H

#include <stdbool.h>
#include <stddef.h>

enum { PROBE_CHUNK_LEAST = 4 << 10, PROBE_CHUNK_MOST = 1 << 20 }; /* bytes of a message */

enum { PROBE_EPOCHS = 4 }; /* that are looked back on */

/* All fields are its own but `window`. */
struct probe_pace {
	double window;	  /* bytes that may be under way */
	double rtt_least; /* seconds, of an empty path */
	bool growing;
	double began, epoch_began;
	double bytes, rtt_sum; /* of this epoch */
	size_t chunks, epochs;
	double rates[PROBE_EPOCHS]; /* of the last ones, bytes per second */
};

void probe_pace_begin(struct probe_pace *pace, double now, double rtt_least);
/* A message of so many bytes came, so long after it was asked for. */
void probe_pace_arrived(struct probe_pace *pace, double now, size_t bytes, double rtt_s);
/* The rate no longer grows; or it has had time enough to. */
bool probe_pace_is_up(const struct probe_pace *pace, double now);
size_t probe_pace_chunk(const struct probe_pace *pace); /* bytes of the next message */

#endif
