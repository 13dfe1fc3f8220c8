/*
 * The coordinates of largest magnitude, exactly so many: by histograms of the bits of |x|, which
 * are in the order of the magnitudes, denormals included. Of equal ones the first are chosen.
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_SELECT_H
#define DSTRAIN_RUNTIME_COMPRESS_SELECT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct selection {
	uint32_t size; /* all that are larger (select_size) ... */
	size_t equal;  /* ... and so many of those that are as large, from the first */
};

static inline uint32_t select_size(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits & 0x7fffffff;
}

static inline float select_magnitude(uint32_t size)
{
	float x;

	memcpy(&x, &size, sizeof(x));
	return x;
}

struct selection select_largest(const float *x, size_t count, size_t chosen);

/* The first index from `from` on that is chosen, or `count`. Counts down selection->equal: a copy
 * serves one walk from the first coordinate to the last. */
size_t select_next(struct selection *selection, const float *x, size_t count, size_t from);

#endif
