/*
 * The graph that a recipe asks for, and what strategies that use one have as options. Vertex v is
 * the rank world->ranks[v], this rank is vertex world->index.
 */
#ifndef DSTRAIN_RUNTIME_TOPOLOGY_H
#define DSTRAIN_RUNTIME_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/opt.h"
#include "runtime/graph.h"

struct error;
struct sync_env;

struct topology_params {
	int kind; /* in the strategy's list of names */
	double probability;
	size_t degree;
};

extern const char *const topology_names[];	  /* undirected */
extern const char *const topology_pushed_names[]; /* directed, those that do not change */
extern const char *const topology_varied_names[]; /* directed, and `one_peer` */

/* Rows of the table of a strategy whose struct params has a struct topology_params as `field`. */
/* clang-format off */
#define TOPOLOGY_UNDIRECTED(params, field) \
	TOPOLOGY_ROWS(params, field, topology_names, "ring"), \
	{ "graph_degree", OPT_COUNT, offsetof(struct params, field.degree), "3", \
	  "neighbours up to which fast links are added to a tree of them", .min = 1, .max = 65535 }
#define TOPOLOGY_PUSHED(params, field) \
	TOPOLOGY_ROWS(params, field, topology_pushed_names, "exponential")
#define TOPOLOGY_VARIED(params, field) \
	TOPOLOGY_ROWS(params, field, topology_varied_names, "one_peer")

#define TOPOLOGY_ROWS(params, field, names, fallback) \
	{ "graph", OPT_CHOICE, offsetof(struct params, field.kind), fallback, \
	  "who is whose neighbour", .choices = names }, \
	{ "graph_probability", OPT_REAL, offsetof(struct params, field.probability), "0.4", \
	  "of each edge of a random graph", .min = 0.001, .max = 1 }
/* clang-format on */

/* For wants_links. */
bool topology_wants_links(const struct topology_params *params);

/* Of TOPOLOGY_UNDIRECTED. Links that nobody knows are an error. The graph is the caller's. */
int topology_undirected(struct graph *graph, const struct topology_params *params,
			const struct sync_env *env, struct error *err);
/* Of the other two: the graph of step t is number t % *count of the array, which the caller frees
 * as its members. */
struct graph *topology_directed(const struct topology_params *params, const struct sync_env *env,
				size_t *count);

#endif
