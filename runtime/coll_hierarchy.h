/* Allreduce of a group that falls into parts, such as hosts or racks. */
#ifndef DSTRAIN_RUNTIME_COLL_HIERARCHY_H
#define DSTRAIN_RUNTIME_COLL_HIERARCHY_H

#include <stddef.h>
#include <stdint.h>

struct coll_call;
struct error;
struct group;
struct net;

/* call->group->parts is there. Every part makes slices of its sum, which are added up across the
 * parts, and gathers them. Parts need not have the same size. */
int coll_hierarchical(const struct coll_call *call, float *x, size_t count, struct error *err);
/* Payload bytes that this rank sends there; group->parts is there. */
uint64_t coll_hierarchical_volume(const struct net *net, const struct group *group, size_t count);

#endif
