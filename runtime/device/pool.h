/* A window that goes over one plane in steps. */
#ifndef DSTRAIN_RUNTIME_POOL_H
#define DSTRAIN_RUNTIME_POOL_H

#include <stddef.h>

struct pool {
	size_t kernel, stride, padding;
	size_t height, width, out_height, out_width;
};

/* The part of window `i` of a row or column that lies inside: from *begin to before *end. */
static inline void pool_window(const struct pool *pool, size_t i, size_t length, size_t *begin,
			       size_t *end)
{
	size_t at = i * pool->stride, stop = at + pool->kernel;

	*begin = at > pool->padding ? at - pool->padding : 0;
	*end = stop > pool->padding ? stop - pool->padding : 0;
	if (*end > length)
		*end = length;
}

#endif
