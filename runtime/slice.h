/* How things are shared out: whoever cuts vectors, batches or data sets cuts them alike. */
#ifndef DSTRAIN_RUNTIME_SLICE_H
#define DSTRAIN_RUNTIME_SLICE_H

#include <stddef.h>

/* Slice i of `count` things for n takers: the first count % n slices are one longer. Returns where
 * it starts. */
size_t slice_start(size_t count, size_t n, size_t i, size_t *length);
/* The slice that thing number `at` of them belongs to. */
size_t slice_at(size_t count, size_t n, size_t at);

/* How many pieces of at most `most` things they are cut into. */
static inline size_t slice_pieces(size_t count, size_t most)
{
	return (count + most - 1) / most;
}

/* The least multiple of `step` that is not below `count`. */
static inline size_t slice_round_up(size_t count, size_t step)
{
	return slice_pieces(count, step) * step;
}

#endif
