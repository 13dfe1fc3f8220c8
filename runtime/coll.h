/*
 * Collectives on a group: an ordered subset of the ranks. Every member calls the same collective
 * with the same sizes, in the same order for one group. All block until this rank's part is done
 * and fail within the net's timeout_s, or at once after net_abort. A failure aborts the net:
 * messages of a half-done collective must not be taken for those of the next one, and counts in
 * shared memory are of no use after one.
 *
 * Results are bit-identical on all members and from run to run. Slice s (runtime/slice.h) of the
 * vector, one for each member, is added in the order in which a ring does it, from member s + 1
 * round to member s:
 *
 *	(((x[s+1] + x[s+2]) + ...) + x[s-1]) + x[s]	indices modulo the group's size
 *
 * COLL_RING, COLL_DIRECT, COLL_FLAT and collectives in shared memory all do, and COLL_AUTO chooses
 * among these, so that neither the transport, nor where ranks sit, nor what was measured changes a
 * bit (but which NaN it is where several meet). COLL_HALVING_DOUBLING, COLL_TREE and
 * COLL_HIERARCHICAL have orders of their own. With two members all are the same.
 */
#ifndef DSTRAIN_RUNTIME_COLL_H
#define DSTRAIN_RUNTIME_COLL_H

#include <stddef.h>
#include <stdint.h>

struct coll_cost;
struct coll_parts;
struct error;
struct net;
struct partition;

struct group {
	const int *ranks; /* [count], borrowed; the same order on every member */
	int count;
	int index;   /* this rank's place in `ranks` */
	uint16_t id; /* groups that are in use at the same time have different ids */
	const struct coll_cost *cost; /* of messages, the same on every member; NULL: a guess */
	struct coll_parts *parts;     /* of these ranks, for COLL_HIERARCHICAL, which is a ring
				       * without them (NULL) */
};

enum coll_algorithm {
	COLL_AUTO, /* shared memory if all members have it; else the fastest by group->cost */
	COLL_RING,
	COLL_HALVING_DOUBLING,
	COLL_TREE,
	COLL_DIRECT,	  /* slices straight to their owners, sums straight back */
	COLL_FLAT,	  /* everything to everybody */
	COLL_HIERARCHICAL /* within the parts of the group, then across them */
};

extern const char *const coll_algorithm_names[]; /* NULL-terminated, for option tables */

/* The ranks 0 .. world-1 as group 0. `ranks` is the caller's array [world]. */
struct group group_world(int *ranks, int world, int rank);
int group_index(const struct group *group, int rank); /* of a member */
/* The rank `distance` places after this one, or before it. */
int group_neighbour(const struct group *group, int distance);
/* For one group, with what its collectives keep; `partition` is borrowed. */
struct coll_parts *coll_parts_new(const struct partition *partition);
void coll_parts_free(struct coll_parts *parts); /* may be NULL */
/* The members of each host, in the order of the group. */
void group_by_host(struct partition *out, const struct group *group, const struct net *net);

/* x[count] becomes the sum over the group. In place. */
int coll_allreduce(struct net *net, const struct group *group, enum coll_algorithm algorithm,
		   float *x, size_t count, struct error *err);

/* Adds up a piece of a vector, x[count] from its element `start` on, over those members that hold
 * it, one of each part. */
typedef int coll_across(void *arg, const struct group *owners, size_t start, float *x, size_t count,
			struct error *err);
/* COLL_HIERARCHICAL where something else is done across the parts, which are there. */
int coll_allreduce_across(struct net *net, const struct group *group, float *x, size_t count,
			  coll_across *across, void *arg, struct error *err);
int coll_parts_count(const struct coll_parts *parts); /* NULL: one */

/* The slice (runtime/slice.h) of this rank in x[count] becomes the sum; the rest of x is scratch
 * afterwards. */
int coll_reduce_scatter(struct net *net, const struct group *group, float *x, size_t count,
			struct error *err);
/* Every rank gives its slice of x[count] and gets all the others. */
int coll_allgather(struct net *net, const struct group *group, float *x, size_t count,
		   struct error *err);
/* Every rank gives `length` bytes at mine, its own length; *all (caller frees) holds them in group
 * order, lengths[i] bytes each, starting at starts[i]. Both arrays are the caller's, [count]. */
int coll_allgather_bytes(struct net *net, const struct group *group, const void *mine,
			 size_t length, unsigned char **all, size_t *starts, size_t *lengths,
			 struct error *err);
int coll_broadcast(struct net *net, const struct group *group, int root_index, void *bytes,
		   size_t length, struct error *err);
int coll_barrier(struct net *net, const struct group *group, struct error *err);

#endif
