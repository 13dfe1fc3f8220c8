/*
 * Collectives of ranks that share memory: no messages. All members serve a group alike, or none
 * does. As in runtime/coll.h, which calls these for groups of two members and more; a failure
 * leaves the channel's counts behind as they are, so that the net must be aborted.
 */
#ifndef DSTRAIN_RUNTIME_COLL_SHARED_H
#define DSTRAIN_RUNTIME_COLL_SHARED_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct group;
struct net;

/* Does an allreduce of so many elements give everything to everybody? */
bool coll_shared_is_flat(size_t count);
int coll_shared_allreduce(struct net *net, const struct group *group, float *x, size_t count,
			  struct error *err);
int coll_shared_reduce_scatter(struct net *net, const struct group *group, float *x, size_t count,
			       struct error *err);
int coll_shared_allgather(struct net *net, const struct group *group, float *x, size_t count,
			  struct error *err);
int coll_shared_broadcast(struct net *net, const struct group *group, int root_index, void *bytes,
			  size_t length, struct error *err);
int coll_shared_barrier(struct net *net, const struct group *group, struct error *err);

#endif
