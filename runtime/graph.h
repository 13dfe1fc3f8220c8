/*
 * Who talks to whom where no rank talks to all: graphs of vertices 0 .. count-1, which are the
 * places of a group, and the weights with which neighbours are mixed. Pure; the same arguments give
 * the same graph on every rank.
 *
 * An undirected graph has each edge both ways. No graph has an edge from a vertex to itself.
 */
#ifndef DSTRAIN_RUNTIME_GRAPH_H
#define DSTRAIN_RUNTIME_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/* Zeroed is valid: no vertices. */
struct graph {
	int count;
	int *first; /* [count + 1] */
	int *ends;  /* of vertex v's edges: ends[first[v]] .. ends[first[v + 1] - 1], rising */
};

/* Undirected and connected. */
struct graph graph_ring(int count);
struct graph graph_torus(int count); /* as square as the divisors of count allow; else a ring */
struct graph graph_exponential(int count); /* 1, 2, 4 ... places away */
struct graph graph_complete(int count);
/* Each pair with `probability`, drawn again from the seed until all are connected; an error if that
 * does not come about. */
int graph_erdos_renyi(struct graph *out, int count, double probability, uint64_t seed,
		      struct error *err);
/*
 * The fastest links: a spanning tree of the greatest rates, and more edges, the fastest first, as
 * long as both ends have fewer than `degree`. rates[i * count + j] is of the pair i < j; NAN is
 * less than all others. Among equal rates, those of places near to each other.
 */
struct graph graph_links(int count, const double *rates, int degree);

/* Directed and strongly connected. */
struct graph graph_directed_ring(int count);
struct graph graph_directed_exponential(int count); /* to 1, 2, 4 ... places further */
/* A ring in drawn order, and each other edge with `probability`. */
struct graph graph_directed_random(int count, double probability, uint64_t seed);
/* To the one 2^(step % graph_powers) places further: connected over graph_powers steps alone. */
struct graph graph_one_peer(int count, size_t step);
size_t graph_powers(int count); /* of two that are less than count; at least 1 */

void graph_release(struct graph *graph);

/* Where edges of `from` lead, [*degree], rising. Borrowed. */
const int *graph_ends(const struct graph *graph, int from, int *degree);
bool graph_has(const struct graph *graph, int from, int to);
bool graph_is_undirected(const struct graph *graph);
/* Whether there is a way from each vertex to every other one. */
bool graph_is_connected(const struct graph *graph);
/* With all edges the other way round. */
struct graph graph_reverse(const struct graph *graph);

/* Of an undirected graph: Metropolis weights, P_ij = 1 / (1 + max(p_i, p_j)) for neighbours with p
 * edges each, P_ii = 1 - the sum of the others, 0 elsewhere. Symmetric, rows sum to 1. */
double graph_metropolis(const struct graph *graph, int i, int j);
/* The part that `from` gives to each of its ends, and keeps: columns sum to 1. */
double graph_push(const struct graph *graph, int from);

#endif
