/*
 * How far a step goes towards the mix of what neighbours made known of their weights: less far
 * where less of them is made known, or ranks drive each other apart. All ranks have the same value
 * at the same step. It begins as what the first messages that leave something out suggest. Who sees
 * later that it is too large says so, the word spreads among neighbours, and after as many steps as
 * there are ranks all have heard it.
 */
#ifndef DSTRAIN_RUNTIME_GAMMA_H
#define DSTRAIN_RUNTIME_GAMMA_H

#include <stddef.h>

#include "runtime/state_array.h"

struct error;
struct sync_env;

struct gamma {
	size_t window; /* steps; 0: the value was given */
	/* For checkpoints; floats, as all of these. */
	struct gamma_state {
		float value;
		float begun; /* 1: messages have left something out */
		float said;  /* 1: somebody's value was too large in the window before */
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
/* After messages that leave something out, before the mixing; the first time a collective of the
 * world. Squares of what was told, and of what there was to tell. */
int gamma_begin(struct gamma *gamma, const struct sync_env *env, double told, double whole,
		struct error *err);
/* After a step, of which state.said went to the neighbours and is now the sum of what they said,
 * times their weights. Squares of what mixing and the optimizer moved. */
void gamma_step(struct gamma *gamma, size_t step, double mixed, double stepped);
struct state_array gamma_array(struct gamma *gamma);

#endif
