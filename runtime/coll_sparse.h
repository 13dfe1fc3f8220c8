/*
 * Allreduce of sparse vectors, after Renggli et al., "SparCML: high-performance sparse
 * communication for machine learning", SC 2019. All members have the same bits, whatever the
 * algorithm: every coordinate is added in one order, that of recursive doubling,
 *
 *	((x[0] + x[p]) + (x[1] + x[p+1])) + ...		p: the largest power of two in the group
 *
 * which an owner follows, too. Messages are as long as they must be: a head says what there is, and
 * what does not fit behind it follows without waiting for an answer.
 */
#ifndef DSTRAIN_RUNTIME_COLL_SPARSE_H
#define DSTRAIN_RUNTIME_COLL_SPARSE_H

#include <stddef.h>

struct coll_cost;
struct coll_sparse;
struct error;
struct group;
struct net;
struct sparse_vector;

enum coll_sparse_algorithm {
	COLL_SPARSE_AUTO, /* the fastest by group->cost, once all have said how much they have */
	COLL_SPARSE_RECURSIVE_DOUBLING, /* all that was added so far, to a partner twice as far */
	COLL_SPARSE_SPLIT_ALLGATHER	/* slices to their owners, sums to everybody */
};

extern const char *const coll_sparse_names[]; /* NULL-terminated, for option tables */

/* What is kept from call to call, so that none but the first few allocate. */
struct coll_sparse *coll_sparse_new(void);
void coll_sparse_free(struct coll_sparse *sparse); /* may be NULL */

/* The vector, of one space on all members, becomes its sum over the group: all indices of all
 * members; where sums were dense (runtime/sparse_vector.h) others, too. A failure aborts the net.
 */
int coll_sparse_allreduce(struct coll_sparse *sparse, struct net *net, const struct group *group,
			  enum coll_sparse_algorithm algorithm, struct sparse_vector *vector,
			  struct error *err);

/* Pairs of a sum of n vectors with `count` pairs each, anywhere in the space: more than if they
 * have indices in common for a reason, as gradients do. */
double coll_sparse_fill(size_t space, double count, int n);

/* What it takes if every one of n members has `count` pairs. */
struct coll_sparse_cost {
	enum coll_sparse_algorithm algorithm;
	double seconds;
	double bytes; /* that all members together send */
};
/* Of the algorithm; AUTO: of the fastest, which it names. A pure function. */
struct coll_sparse_cost coll_sparse_cost(const struct coll_cost *cost, int n,
					 enum coll_sparse_algorithm algorithm, size_t space,
					 double count);

#endif
