/* Allreduce of a group that falls into parts, such as hosts or racks. */
#ifndef DSTRAIN_RUNTIME_COLL_HIERARCHY_H
#define DSTRAIN_RUNTIME_COLL_HIERARCHY_H

#include <stddef.h>

struct coll_call;
struct error;

/* call->group->parts is there. Every part makes slices of its sum, which are added up across the
 * parts, and gathers them. Parts need not have the same size. */
int coll_hierarchical(const struct coll_call *call, float *x, size_t count, struct error *err);

#endif
