/* A rank's part of mixing with its neighbours: who is told, and what counts how much. */
#ifndef DSTRAIN_RUNTIME_MIXING_H
#define DSTRAIN_RUNTIME_MIXING_H

#include <stddef.h>

#include "runtime/exchange.h"

struct graph;

/* Zeroed is valid. */
struct mixing {
	struct exchange_edges edges;
	int sources; /* that tell this rank something */
	bool *to;    /* of `edges` */
	float *weight;
};

/* What is told adds up: of each rank the weights, those of others and its own, sum to 1 but for the
 * last bit or two of one of them. */
struct mixing mixing_metropolis(const struct graph *graph, int index);
/* Each gives equal parts to itself and to where its edges lead. */
struct mixing mixing_push(const struct graph *graph, int index);
void mixing_release(struct mixing *mixing);

/* |x - mix| / |mix|, with 2-norms. x is scratch afterwards. */
double mixing_distance(float *x, const float *mix, size_t count);

#endif
