/* The memory that the ranks of a host share: a place for each rank, and a pipe from each to each.
 * Pages that nobody touches cost nothing. */
#ifndef DSTRAIN_RUNTIME_SEGMENT_H
#define DSTRAIN_RUNTIME_SEGMENT_H

#include <stddef.h>

struct error;
struct pipe_memory;
struct pipe_sleeper;

/* Mapped. Zeroed is valid, and no memory. */
struct segment {
	unsigned char *bytes; /* the places come first */
	size_t size;
	int count; /* of ranks */
};

/* Zeroed memory that can neither shrink nor grow; *fd is the caller's. */
int segment_make(int *fd, int count, struct error *err);
/* Maps what another rank has made, if it is what it should be. */
int segment_map(struct segment *out, int fd, int count, struct error *err);
void segment_release(struct segment *segment);

/* By numbers among the ranks of the host. */
struct pipe_memory *segment_pipe(const struct segment *segment, int from, int to);
struct pipe_sleeper *segment_sleeper(const struct segment *segment, int number);

#endif
