/* Where arrays that are not alive at the same time may share memory. */
#ifndef DSTRAIN_RUNTIME_ARENA_H
#define DSTRAIN_RUNTIME_ARENA_H

#include <stddef.h>

struct arena_item {
	size_t bytes;
	size_t begin, end; /* the first and the last moment of its life */
	size_t offset;	   /* out; a multiple of 64 */
};

/* Places items so that no two that are alive at one moment overlap; returns the bytes of all:
 * largest first, each at the lowest place that is free for its life. */
size_t arena_place(struct arena_item *items, size_t count);

#endif
