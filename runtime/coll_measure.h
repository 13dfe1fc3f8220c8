/* What messages cost on the paths of a group, measured once after connecting. */
#ifndef DSTRAIN_RUNTIME_COLL_MEASURE_H
#define DSTRAIN_RUNTIME_COLL_MEASURE_H

#include "runtime/coll_cost.h"

struct error;
struct net;

/*
 * A collective: all members call it and get the same numbers, those of the slowest path. Takes a
 * few milliseconds on a local network, and about the time of two dozen small messages on slow
 * links. Where all members share memory it measures nothing. Either way group->cost becomes `cost`.
 */
int coll_measure(struct net *net, struct group *group, struct coll_cost *cost, struct error *err);

#endif
