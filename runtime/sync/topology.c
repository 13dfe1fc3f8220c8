/* The graph that a recipe asks for. */
#include "runtime/sync/topology.h"

#include <math.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "runtime/sync/sync.h"

enum { RING, TORUS, EXPONENTIAL, ERDOS_RENYI, COMPLETE, LINKS };
const char *const topology_names[] = { "ring",	   "torus", "exponential", "erdos_renyi",
				       "complete", "links", NULL };

enum { PUSHED_RING, PUSHED_EXPONENTIAL, PUSHED_RANDOM, PUSHED_COMPLETE, ONE_PEER };
const char *const topology_pushed_names[] = { "ring", "exponential", "random", "complete", NULL };
const char *const topology_varied_names[] = { "ring",	  "exponential", "random",
					      "complete", "one_peer",	 NULL };

bool topology_wants_links(const struct topology_params *params)
{
	return params->kind == LINKS;
}

/* Ranks of one host reach each other faster than any link does. */
static double *rates_of(const struct sync_env *env)
{
	const struct group *world = env->world;
	size_t count = (size_t)world->count;
	double *rates = xcalloc(count * count, sizeof(*rates));

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			size_t a = (size_t)env->host_of[world->ranks[i]];
			size_t b = (size_t)env->host_of[world->ranks[j]];

			rates[i * count + j] = a == b ? INFINITY
						      : fmin(links_rate(env->links, a, b),
							     links_rate(env->links, b, a));
		}
	}
	return rates;
}

static int of_links(struct graph *graph, const struct topology_params *params,
		    const struct sync_env *env, struct error *err)
{
	double *rates;

	if (!env->links)
		return error_set(err, "sync.graph: nothing is known of the links; give plan.links "
				      "a file or 'probe', or take another graph than 'links'");
	rates = rates_of(env);
	*graph = graph_links(env->world->count, rates, (int)params->degree);
	free(rates);
	return 0;
}

int topology_undirected(struct graph *graph, const struct topology_params *params,
			const struct sync_env *env, struct error *err)
{
	int count = env->world->count;

	switch (params->kind) {
	case RING: *graph = graph_ring(count); return 0;
	case TORUS: *graph = graph_torus(count); return 0;
	case EXPONENTIAL: *graph = graph_exponential(count); return 0;
	case COMPLETE: *graph = graph_complete(count); return 0;
	case LINKS: return of_links(graph, params, env, err);
	default:
		if (graph_erdos_renyi(graph, count, params->probability, env->seed, err) < 0)
			return error_prefix(err, "sync.graph_probability");
		return 0;
	}
}

static struct graph pushed(const struct topology_params *params, const struct sync_env *env)
{
	int count = env->world->count;

	switch (params->kind) {
	case PUSHED_RING: return graph_directed_ring(count);
	case PUSHED_EXPONENTIAL: return graph_directed_exponential(count);
	case PUSHED_COMPLETE: return graph_complete(count);
	default: return graph_directed_random(count, params->probability, env->seed);
	}
}

struct graph *topology_directed(const struct topology_params *params, const struct sync_env *env,
				size_t *count)
{
	bool varies = params->kind == ONE_PEER;
	struct graph *graphs;

	*count = varies ? graph_powers(env->world->count) : 1;
	graphs = xcalloc(*count, sizeof(*graphs));
	for (size_t i = 0; i < *count; i++)
		graphs[i] = varies ? graph_one_peer(env->world->count, i) : pushed(params, env);
	return graphs;
}
