/*
 * One head of attention over one sequence, as its kernels see it. Vaswani et al., "Attention is
 * all you need", 2017: y = softmax(q k^T / sqrt(width)) v. Neither direction keeps the scores:
 * they are made by blocks of queries and, going back, made again from `norm`, as in Dao et al.,
 * "FlashAttention", 2022.
 */
#ifndef DSTRAIN_RUNTIME_ATTENTION_H
#define DSTRAIN_RUNTIME_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/slice.h"

struct attention {
	size_t positions, width; /* width: of q, k, v and y at one position */
	size_t step, y_step;	 /* floats from one position to the next, in q k v, in y */
	bool causal;		 /* a position sees those before it and itself */
	const float *q, *k, *v, *dy;
	float *y;
	float *norm;	     /* [positions] of the largest score, 1 / the sum of exp(score - it) */
	float *dq, *dk, *dv; /* with `step`; may be q, k, v */
	float *room;	     /* 64-byte aligned, of attention_room floats */
};

typedef void attention_kernel(const struct attention *head);

/* Queries that are done at once; lengths are padded to multiples of it, widths to halves. */
enum { ATTENTION_BLOCK = 32 };

static inline size_t attention_room(size_t positions, size_t width)
{
	size_t block = ATTENTION_BLOCK, half = block / 2;
	size_t rows = slice_round_up(positions, block);
	size_t columns = slice_round_up(width, half);

	return 3 * block * columns + 2 * block * (rows + half) + 5 * rows * columns;
}

#endif
