/* How much a rank sends in a collective on floats: the arithmetic of its algorithm, nothing else.
 */
#ifndef DSTRAIN_RUNTIME_COLL_VOLUME_H
#define DSTRAIN_RUNTIME_COLL_VOLUME_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/coll.h"

/* Payload bytes, as net_bytes counts them, that this rank sends where it calls coll_allreduce with
 * the same group, algorithm and count; and so on. */
uint64_t coll_allreduce_volume(const struct net *net, const struct group *group,
			       enum coll_algorithm algorithm, size_t count);
uint64_t coll_reduce_scatter_volume(const struct group *group, size_t count);
uint64_t coll_allgather_volume(const struct net *net, const struct group *group, size_t count);

#endif
