/* The pipelined transfer that all collectives on floats are made of. */
#ifndef DSTRAIN_RUNTIME_COLL_FLOW_H
#define DSTRAIN_RUNTIME_COLL_FLOW_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct group;
struct net;
struct net_request;

/* What a message belongs to; with the group's id it makes the tag. */
enum coll_kind {
	COLL_ALLREDUCE = 1,
	COLL_REDUCE_SCATTER,
	COLL_ALLGATHER,
	COLL_LENGTHS,
	COLL_BYTES,
	COLL_SLICES,
	COLL_SUMS,
	COLL_BROADCAST,
	COLL_BARRIER,
	COLL_MEASURE,
	COLL_PAIRS
};

/* A collective under way. */
struct coll_call {
	struct net *net;
	const struct group *group;
	enum coll_kind kind;
	float *scratch; /* where what is to be added arrives; NULL if nothing is */
	size_t segment; /* floats; of scratch, the size of one of its parts */
	int receives;	/* parts of it */
};

struct coll_call coll_call_begin(struct net *net, const struct group *group, enum coll_kind kind,
				 size_t count);
void coll_call_end(struct coll_call *call);
uint64_t coll_tag(const struct coll_call *call);

/* As net_wait_all, and the first failure aborts the net, which ends the other waits: a half-done
 * collective leaves messages behind that would be taken for those of the next one. */
int coll_wait(struct net *net, struct net_request *requests, size_t count, struct error *err);

enum { COLL_NOBODY = -1 };

/*
 * x is cut into slices. Step s sends slice first - s to rank `to`, while slice first - s - 1 comes
 * from rank `from`, is added to this rank's (in the first `adds` steps) or replaces it, and is what
 * step s + 1 sends. Slice numbers are modulo `slices`.
 */
struct coll_flow {
	int to, from; /* ranks, or COLL_NOBODY */
	float *x;
	size_t count;
	int slices, first, steps, adds;
};

/* A failure aborts the net. */
int coll_flow_run(const struct coll_call *call, const struct coll_flow *flow, struct error *err);

#endif
