/*
 * Allreduce without a ring, for vectors whose time is latency: everything goes straight to who
 * needs it, and is added in the ring's order (runtime/coll.h).
 */
#ifndef DSTRAIN_RUNTIME_COLL_DIRECT_H
#define DSTRAIN_RUNTIME_COLL_DIRECT_H

#include <stddef.h>

struct coll_call;
struct error;

/* Slices go to their owners, and sums from there to everybody: two latencies. */
int coll_direct(const struct coll_call *call, float *x, size_t count, struct error *err);
/* Everything goes to everybody: one latency. */
int coll_flat(const struct coll_call *call, float *x, size_t count, struct error *err);

#endif
