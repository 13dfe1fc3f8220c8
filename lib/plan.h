/*
 * From links to what every rank does: candidates, each with its predicted seconds per step, and the
 * best of them. Pure, but that a search looks at the clock; JSON as in plan.json.
 */
#ifndef DSTRAIN_LIB_PLAN_H
#define DSTRAIN_LIB_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cost.h"
#include "lib/groups.h"

struct error;
struct json;
struct links;

enum plan_kind {
	PLAN_RING,	       /* bsp on a ring of all ranks, in a given or in the best order */
	PLAN_HALVING_DOUBLING, /* bsp; ranks in the best order */
	PLAN_TREE,
	PLAN_HIERARCHICAL, /* bsp; within groups, then across them */
	PLAN_DS_SYNC	   /* weights averaged in groups that change from step to step */
};

struct plan {
	enum plan_kind kind;
	bool compressed;	  /* what travels; if hierarchical, across the groups alone */
	char *name;		  /* "ring, given order", "ds_sync 2x2x2, rack-major"; owned */
	struct schedule schedule; /* of bsp one phase: the ring's order as one group, or, if
				   * hierarchical, its groups */
	double step_s, compute_s; /* predicted */
	double comm_s;		  /* exposed or not; step_s has what is */
	double codec_s;		  /* encoding and decoding, all of it exposed */
	int exact_after;	  /* steps; 1 for bsp; 0: never */
	double contraction_per_s; /* ln of the distance from the mean, lost each second; INFINITY:
				   * exact in every step */
	double bytes_sent;	  /* by a rank in a step, at most; the mean of the phases */
	char *bottleneck;	  /* "rack1.up, 200 Mbit/s, crossed by 2 flows"; owned */
};

struct plan_env {
	const struct links *links;
	const int *host_of; /* [world] */
	int world;
	double bytes;	  /* of the parameters */
	double compute_s; /* of a step without communication; NAN: that of the slowest host in
			     links, or 0 */
	double bsp_overlap, ds_overlap; /* the part of compute_s that communication hides behind */
	int consensus_period; /* steps within which averages are exact, where that can be */
	bool momentum;	      /* ds_sync averages it, too: twice the bytes */
	/* Of the recipe's compressor, if it has one: then each candidate is there dense and
	 * compressed. As measured on some machine, which counts as the host in the middle, where
	 * links know what hosts take for a step. */
	struct cost_codec codec;
	const char *scheme; /* its name */
	double search_s;    /* seconds of local search at most; 0: enumeration alone. A search that
			     * ends by itself is the same every time */
	uint64_t seed;
};

/* Sorted by step_s; never empty. The first is the choice: a flat ring, dense, unless something
 * else is better by 5 %, ties to the shorter period. */
struct plan_list {
	struct plan *plans;
	size_t count;
};
int plan_build(struct plan_list *out, const struct plan_env *env, struct error *err);
void plan_list_release(struct plan_list *list);

/* bsp_overlap where gradients of `bytes` in all are exchanged in buckets, while backward, two
 * thirds of computing, still makes the next: all but the last one can hide. */
double plan_bsp_overlap(double bytes, double bucket_bytes);

/* What no grouping cures, in a sentence: a host that computes, sends or receives much more slowly
 * than the others, if that is what `chosen` takes its time for. NULL: none. Caller frees. */
char *plan_advice(const struct plan_env *env, const struct plan *chosen);

/* The first of the list that is compressed, or the first that is not; NULL: none. */
const struct plan *plan_first(const struct plan_list *list, bool compressed);
/* What it costs or saves to compress: "compressing with qsgd would make a step 3.2 ms longer here
 * (codec 5.1 ms, saves 1.9 ms on the wire)", if `done` "makes" instead. Caller frees. */
char *plan_compression(const char *scheme, const struct plan *dense, const struct plan *compressed,
		       bool done);
/* The same of the choice and the best of the others, and what was decided. NULL: there are none
 * that are compressed. Caller frees. */
char *plan_verdict(const char *scheme, const struct plan_list *list);

const char *plan_kind_name(enum plan_kind kind);
struct json *plan_json(const struct plan *plan);
int plan_from_json(struct plan *out, const struct json *json, struct error *err);
/* Whether the ranks of its first phase stand as they are numbered. */
bool plan_is_in_given_order(const struct plan *plan);
void plan_copy(struct plan *to, const struct plan *from);
void plan_release(struct plan *plan);

#endif
