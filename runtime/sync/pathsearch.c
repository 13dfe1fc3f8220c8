/* The search for edges that connect all workers, one event after the other. */
#include "runtime/sync/pathsearch.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/wire.h"

static void begin_cycle(struct pathsearch *search)
{
	search->trees = search->graph->count;
	search->edge_count = 0;
	search->repeats = 0;
	for (int v = 0; v < search->graph->count; v++)
		search->tree[v] = v;
}

struct pathsearch pathsearch_new(const struct graph *graph, enum pathsearch_rule rule,
				 uint64_t repeats)
{
	size_t count = (size_t)graph->count, edges = (size_t)graph->first[count] / 2;
	struct pathsearch search = { .graph = graph,
				     .rule = rule,
				     .most_repeats = repeats * count };

	search.tree = xcalloc(count, sizeof(*search.tree));
	search.edges = xcalloc(edges + 1, sizeof(*search.edges));
	search.ready = xcalloc(count, sizeof(*search.ready));
	begin_cycle(&search);
	return search;
}

void pathsearch_release(struct pathsearch *search)
{
	free(search->tree);
	free(search->edges);
	free(search->ready);
	*search = (struct pathsearch){ 0 };
}

void pathsearch_reset(struct pathsearch *search)
{
	search->cycle = 0;
	search->ready_count = 0;
	begin_cycle(search);
}

static bool is_established(const struct pathsearch *search, int a, int b)
{
	for (size_t i = 0; i < search->edge_count; i++) {
		const struct pathsearch_edge *edge = &search->edges[i];

		if ((edge->from == a && edge->to == b) || (edge->from == b && edge->to == a))
			return true;
	}
	return false;
}

static bool brings_news(const struct pathsearch *search, int a, int b)
{
	if (!graph_has(search->graph, a, b))
		return false;
	return search->rule == PATHSEARCH_EDGE ? !is_established(search, a, b)
					       : search->tree[a] != search->tree[b];
}

static void establish(struct pathsearch *search, struct pathsearch_edge edge)
{
	int a = search->tree[edge.from], b = search->tree[edge.to];
	int low = a < b ? a : b, high = a < b ? b : a;

	search->edges[search->edge_count++] = edge;
	if (low == high)
		return;
	for (int v = 0; v < search->graph->count; v++)
		if (search->tree[v] == high)
			search->tree[v] = low;
	search->trees--;
}

/* Of those who wait, the first one that has an edge to the vertex which lets it go; -1: none. */
static int find_other(const struct pathsearch *search, int vertex, bool *news)
{
	int any = -1;

	for (int i = 0; i < search->ready_count; i++) {
		*news = brings_news(search, search->ready[i], vertex);
		if (*news)
			return i;
		if (any < 0 && graph_has(search->graph, search->ready[i], vertex))
			any = i;
	}
	return search->repeats < search->most_repeats ? any : -1;
}

bool pathsearch_ready(struct pathsearch *search, int vertex, struct pathsearch_event *event)
{
	bool news = false;
	int other = find_other(search, vertex, &news);

	assert(search->ready_count < search->graph->count);
	search->ready[search->ready_count++] = vertex;
	if (other < 0)
		return false;
	*event = (struct pathsearch_event){ .members = search->ready,
					    .count = search->ready_count,
					    .edge = { search->ready[other], vertex },
					    .cycle = search->cycle };
	search->ready_count = 0;
	if (news)
		establish(search, event->edge);
	else
		search->repeats++;
	if (search->trees == 1) {
		begin_cycle(search);
		search->cycle++;
	}
	return true;
}

void pathsearch_put(const struct pathsearch *search, struct buf *out)
{
	wire_put_u64(out, search->cycle);
	wire_put_u64(out, search->repeats);
	wire_put_u32(out, (uint32_t)search->ready_count);
	for (int i = 0; i < search->ready_count; i++)
		wire_put_u32(out, (uint32_t)search->ready[i]);
	wire_put_u32(out, (uint32_t)search->edge_count);
	for (size_t i = 0; i < search->edge_count; i++) {
		wire_put_u32(out, (uint32_t)search->edges[i].from);
		wire_put_u32(out, (uint32_t)search->edges[i].to);
	}
}

static bool get_vertex(const struct pathsearch *search, struct wire *from, int *vertex)
{
	uint32_t value = wire_get_u32(from);

	*vertex = (int)value;
	return !from->failed && value < (uint32_t)search->graph->count;
}

int pathsearch_get(struct pathsearch *search, struct wire *from)
{
	size_t edges = (size_t)search->graph->first[search->graph->count] / 2;
	struct pathsearch_edge edge;
	uint32_t count;

	pathsearch_reset(search);
	search->cycle = wire_get_u64(from);
	search->repeats = wire_get_u64(from);
	count = wire_get_u32(from);
	if (count > (uint32_t)search->graph->count)
		return -1;
	for (; search->ready_count < (int)count; search->ready_count++)
		if (!get_vertex(search, from, &search->ready[search->ready_count]))
			return -1;
	count = wire_get_u32(from);
	if (count > edges)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		if (!get_vertex(search, from, &edge.from) || !get_vertex(search, from, &edge.to))
			return -1;
		establish(search, edge);
	}
	return from->failed ? -1 : 0;
}

static int neighbours_among(const struct graph *graph, const int *members, int count, int vertex)
{
	int neighbours = 0;

	for (int i = 0; i < count; i++)
		neighbours += graph_has(graph, vertex, members[i]);
	return neighbours;
}

void pathsearch_parts(const struct graph *graph, const int *members, int count, int of,
		      double *part)
{
	int own = neighbours_among(graph, members, count, members[of]);

	part[of] = 1;
	for (int i = 0; i < count; i++) {
		int other;

		if (i == of)
			continue;
		part[i] = 0;
		if (!graph_has(graph, members[of], members[i]))
			continue;
		other = neighbours_among(graph, members, count, members[i]);
		part[i] = 1 / (double)(1 + (own > other ? own : other));
		part[of] -= part[i];
	}
}
