/*
 * Who waits for whom in asynchronous decentralised SGD with adaptive updates: after Xiong, Yan,
 * Wang and Li, "Straggler-resilient decentralized learning via adaptive asynchronous updates",
 * MobiHoc 2024. Workers that finished a step wait until one of them has an edge to another that
 * brings news; all that wait then average with their neighbours among them, and compute on. Edges
 * that did so are kept until they connect all workers, which ends a cycle: so within a cycle
 * everybody takes part, and news gets everywhere. A pure state machine, without threads or
 * messages.
 *
 * Beyond the paper, a cycle may have some events by any edge, if there is none that brings news:
 * workers that are connected already need not wait for a slow one, and a cycle still ends.
 */
#ifndef DSTRAIN_RUNTIME_PATHSEARCH_H
#define DSTRAIN_RUNTIME_PATHSEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/graph.h"

struct buf;
struct wire;

/* Which edges bring news: those between two trees of established edges, so that a cycle has one
 * event less than there are workers; or all that were not established in this cycle. */
enum pathsearch_rule { PATHSEARCH_FOREST, PATHSEARCH_EDGE };

struct pathsearch_edge {
	int from, to;
};

struct pathsearch {
	const struct graph *graph; /* borrowed; undirected and connected */
	enum pathsearch_rule rule;
	uint64_t most_repeats, repeats; /* events of a cycle that brought no news */
	uint64_t cycle;
	int trees;
	int *tree;		       /* [count] of each vertex: its smallest one */
	struct pathsearch_edge *edges; /* established in this cycle */
	size_t edge_count;
	int *ready; /* [count], in the order in which they came */
	int ready_count;
};

/* Those who waited: members[count] in the order in which they came, the last of them the end of the
 * edge that let them go. Borrowed until the next call. */
struct pathsearch_event {
	const int *members;
	int count;
	struct pathsearch_edge edge;
	uint64_t cycle;
};

/* `repeats` for each worker, at most; 0: as in the paper. */
struct pathsearch pathsearch_new(const struct graph *graph, enum pathsearch_rule rule,
				 uint64_t repeats);
void pathsearch_release(struct pathsearch *search);
/* Begins anew, with cycle 0 and nobody waiting. */
void pathsearch_reset(struct pathsearch *search);
/* `vertex` finished a step, and did not wait before. Whether that makes an event. */
bool pathsearch_ready(struct pathsearch *search, int vertex, struct pathsearch_event *event);
/* All that is not the same everywhere, for somebody else to go on with. */
void pathsearch_put(const struct pathsearch *search, struct buf *out);
/* -1: malformed; the search is then of no use. */
int pathsearch_get(struct pathsearch *search, struct wire *from);

/*
 * Metropolis weights among members[count]: part[i] of what member number `of` has afterwards is
 * from member i, 1 / (1 + max(p_of, p_i)) if they are neighbours, where p is the number of a
 * member's neighbours among them; 0 if they are not.
 */
void pathsearch_parts(const struct graph *graph, const int *members, int count, int of,
		      double *part);

#endif
