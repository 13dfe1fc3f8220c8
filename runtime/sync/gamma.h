/*
 * How far a step goes towards the mix of what neighbours made known of their weights: less far
 * where less of them is made known, or ranks drive each other apart. All ranks have the same value
 * at the same step, without a collective: who sees that it is too large says so, the word spreads
 * among neighbours, and after as many steps as there are ranks all have heard it.
 */
#ifndef DSTRAIN_RUNTIME_GAMMA_H
#define DSTRAIN_RUNTIME_GAMMA_H

#include <stddef.h>

#include "runtime/state_array.h"

struct gamma {
	size_t window; /* steps; 0: the value was given */
	/* For checkpoints; floats, as all of these. */
	struct gamma_state {
		float value;
		float said; /* 1: somebody's value was too large in the window before */
		/* Squares of what mixing and the optimizer moved in this window; of mixing, in the
		 * one before. */
		float mixed, stepped, before;
	} state;
};

/* A row of the options of a strategy whose struct params has a double as `field`. */
/* clang-format off */
#define GAMMA_OPTION(params, field) \
	{ "gamma", OPT_REAL, offsetof(struct params, field), "0", \
	  "how far a step goes towards the mix of neighbours; 0: found out", .min = 0, .max = 1 }
/* clang-format on */

struct gamma gamma_new(double given, int world);
/* After a step, of which state.said went to the neighbours and is now the sum of what they said,
 * times their weights. Squares of what mixing and the optimizer moved. */
void gamma_step(struct gamma *gamma, size_t step, double mixed, double stepped);
struct state_array gamma_array(struct gamma *gamma);

#endif
