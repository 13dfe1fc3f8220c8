/*
 * What an allreduce by messages takes, predicted from a few numbers about the path: the model of
 * Hockney (1994), in which a message of m bytes takes alpha + beta * m, applied to algorithms as in
 * Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH"
 * (2005). Pure functions.
 */
#ifndef DSTRAIN_RUNTIME_COLL_COST_H
#define DSTRAIN_RUNTIME_COLL_COST_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/coll.h"

struct coll_cost {
	double alpha_s;	  /* until the first byte of a message is there */
	double beta_s;	  /* for each byte more */
	double message_s; /* of it a rank's own work: what each of several messages at once adds */
	bool one_host;	  /* no links: all members compete for the same processors */
};

/* A local network, until something is measured. */
extern const struct coll_cost coll_cost_default;

/* Predicted seconds for `bytes` of floats on n ranks; apart from each other for the tests. */
double coll_cost_ring(const struct coll_cost *cost, int n, size_t bytes);
double coll_cost_direct(const struct coll_cost *cost, int n, size_t bytes);
double coll_cost_flat(const struct coll_cost *cost, int n, size_t bytes);

/*
 * The cheapest of them. No ring within a host: it spares links, of which there are none, and each
 * of its steps waits until the neighbour had a processor, which the model does not know.
 */
enum coll_algorithm coll_cost_best(const struct coll_cost *cost, int n, size_t bytes);

#endif
