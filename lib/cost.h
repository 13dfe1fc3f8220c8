/*
 * Predicted seconds of collectives on given links: latency of the rounds as in coll_cost, and
 * bandwidth by the flow model, with all groups of a partition under way at once. Pure.
 */
#ifndef DSTRAIN_LIB_COST_H
#define DSTRAIN_LIB_COST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/groups.h"

struct flow_net;
struct links;

/* How runtime/exchange.c sums what it cannot add up on the way. */
enum cost_way {
	COST_CHOSEN, /* by what a group's messages cost */
	COST_GATHER, /* everybody's whole payload straight to everybody */
	COST_OWNERS, /* slices to their owners, and what these make of them to everybody */
	COST_SPARSE  /* what a payload chose, as pairs that are added up */
};

/* What a compressor makes of float32, and takes for it on one core. */
struct cost_codec {
	double ratio;		   /* bytes on the wire for a byte of float32; 0: there is none */
	double encode_s, decode_s; /* for a byte of float32 */
	bool feedback;		   /* a rank decodes what it sent, to know what it left out */
	double chosen;		   /* part of the coordinates that is sent; 0: all */
	enum cost_way way;
	double bucket_bytes; /* of float32, exchanged at a time; 0: all at once */
};

/* Ranks on hosts. All borrowed. */
struct cost_env {
	const struct links *links;
	struct flow_net *net; /* of `links` */
	const int *host_of;   /* [world] */
	int world;
	double bytes; /* of the vector */
	struct cost_codec codec;
	bool brief; /* seconds alone: not what holds it back, which takes as long again */
};

struct cost {
	double seconds;	   /* of the slowest group */
	double latency_s;  /* of it, that does not depend on the bytes */
	int slowest;	   /* that group */
	int limit;	   /* the segment that holds it back, or as flow_rates */
	int crossing;	   /* hops over that segment at once; 0: it is none */
	int from, to;	   /* hosts: its slowest hop */
	double bytes_sent; /* by a rank, at most */
	double codec_s;	   /* encoding and decoding, which is not in `seconds` */
};

/* An allreduce in each group, by these algorithms. Of a group of one: nothing. */
struct cost cost_ring(const struct cost_env *env, const struct partition *partition);
struct cost cost_halving_doubling(const struct cost_env *env, const struct partition *partition);
struct cost cost_tree(const struct cost_env *env, const struct partition *partition);
/* seconds[groups] that the bytes take in each group's ring, without the latency of its rounds. */
void cost_ring_bytes(const struct cost_env *env, const struct partition *partition,
		     double *seconds);
/* Reduce-scatter within each group, a ring allreduce across for each slice, allgather within. */
struct cost cost_hierarchical(const struct cost_env *env, const struct partition *partition);

/* The same of compressed payloads, which cannot be added on the way; CHOSEN: the codec's way. */
struct cost cost_opaque(const struct cost_env *env, const struct partition *partition,
			enum cost_way way);
/* cost_hierarchical, compressed across the groups alone. */
struct cost cost_across(const struct cost_env *env, const struct partition *partition);
/* Differences to a reference, each member's to all others. */
struct cost cost_differences(const struct cost_env *env, const struct partition *partition);

#endif
