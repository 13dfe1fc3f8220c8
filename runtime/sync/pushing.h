/*
 * What a rank has where weights are pushed along edges that go one way: (x, y), of which x / y are
 * the weights to train with. Kempe, Dobra and Gehrke, "Gossip-based computation of aggregate
 * information", FOCS 2003.
 */
#ifndef DSTRAIN_RUNTIME_PUSHING_H
#define DSTRAIN_RUNTIME_PUSHING_H

#include <stddef.h>

#include "runtime/state_array.h"

/* Zeroed is valid, and empty. */
struct pushing {
	size_t count;
	float *x;	/* [count] */
	float *scratch; /* [count] */
	float y;	/* 0: nothing was taken yet */
};

struct pushing pushing_new(size_t count);
void pushing_release(struct pushing *pushing);
/* x moves as the weights have moved since they were given; the first time, y is 1 and these are x.
 * `weight` is of no use afterwards, nor is scratch. */
void pushing_take(struct pushing *pushing, float *weight);
/* weight = x / y. */
void pushing_give(const struct pushing *pushing, float *weight);
/* For sync_strategy.state: two arrays. */
size_t pushing_state(struct pushing *pushing, struct state_array *arrays);

#endif
