/*
 * Pseudo-random choices of pure modules: what is drawn depends on (seed, stream, counter) alone.
 * Not for training, which has Philox in runtime/rng.
 */
#ifndef DSTRAIN_LIB_DRAW_H
#define DSTRAIN_LIB_DRAW_H

#include <stddef.h>
#include <stdint.h>

struct draw {
	uint64_t seed, stream;
};

uint64_t draw_u64(const struct draw *draw, uint64_t counter);
/* 0 .. bound - 1; bound > 0. */
uint64_t draw_below(const struct draw *draw, uint64_t counter, uint64_t bound);
void draw_shuffle(const struct draw *draw, int *items, size_t count); /* Fisher-Yates */

#endif
