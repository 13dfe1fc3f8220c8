/*
 * Asynchronous decentralised SGD with adaptive updates: a rank waits until there is an edge of its
 * graph to another that waits and that brings news (runtime/sync/pathsearch.h), never for a certain
 * one; all that wait then average with their neighbours among them.
 */
#include "runtime/sync/sync.h"

#include "lib/error.h"
#include "runtime/sync/meeting.h"
#include "runtime/sync/pathsearch.h"
#include "runtime/sync/topology.h"

struct params {
	struct topology_params graph;
	int edges; /* enum pathsearch_rule */
	size_t repeats;
};

static const char *const rules[] = { "forest", "edge", NULL };

static const struct opt options[] = {
	TOPOLOGY_UNDIRECTED(params, graph),
	{ "edges", OPT_CHOICE, offsetof(struct params, edges), "forest",
	  "which edges bring news: between trees of them, or any new one", .choices = rules },
	{ "repeats", OPT_COUNT, offsetof(struct params, repeats), "0",
	  "meetings of a cycle by edges that bring none, times the number of ranks", .max = 1e6 },
	{ 0 }
};

struct state {
	struct meeting *meeting; /* first */
	struct graph graph;
	struct pathsearch search;
};

static int ready(void *search, int place, const int **members)
{
	struct pathsearch_event event;

	if (!pathsearch_ready(search, place, &event))
		return 0;
	*members = event.members;
	return event.count;
}

static void reset(void *search)
{
	pathsearch_reset(search);
}

static void put(const void *search, struct buf *out)
{
	pathsearch_put(search, out);
}

static int get(void *search, struct wire *from)
{
	return pathsearch_get(search, from);
}

static void parts(const void *search, const int *members, int count, int of, double *part)
{
	const struct pathsearch *own = search;

	pathsearch_parts(own->graph, members, count, of, part);
}

static const struct meeting_rule rule = {
	.ready = ready, .reset = reset, .put = put, .get = get, .parts = parts
};

static int init(void *memory, const void *params, const struct sync_env *env, struct error *err)
{
	const struct params *given = params;
	struct state *state = memory;
	int most = 0, degree;

	if (topology_undirected(&state->graph, &given->graph, env, err) < 0)
		return -1;
	for (int v = 0; v < state->graph.count; v++) {
		graph_ends(&state->graph, v, &degree);
		most = degree > most ? degree : most;
	}
	state->search =
		pathsearch_new(&state->graph, (enum pathsearch_rule)given->edges, given->repeats);
	state->meeting = meeting_new(env, &rule, &state->search, most);
	return 0;
}

static void fini(void *memory)
{
	struct state *state = memory;

	meeting_free(state->meeting);
	pathsearch_release(&state->search);
	graph_release(&state->graph);
}

static bool wants_links(const void *params)
{
	return topology_wants_links(&((const struct params *)params)->graph);
}

const struct sync_strategy sync_dsgd_aau = {
	.entry = { .name = "dsgd_aau",
		   .summary = "who waits averages with neighbours, once that connects new ones",
		   .options = options,
		   .params_size = sizeof(struct params) },
	.state_size = sizeof(struct state),
	.own_samples = true,
	.plain = SYNC_PLAIN_WEIGHTS,
	.asynchronous = true,
	.margin = 1,
	.wants_links = wants_links,
	.init = init,
	.go = meeting_go,
	.settle = meeting_settle,
	.report = meeting_report,
	.serve = meeting_serve,
	.fini = fini,
};
