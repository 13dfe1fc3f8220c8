/* Graphs of neighbours, and the weights with which they are mixed. */
#include "runtime/graph.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/rng.h"

enum { DRAWS = 1000 }; /* of a random graph, before it is given up */

/* A graph while it is made: is[from * count + to]. */
struct drawing {
	int count;
	bool *is;
};

static struct drawing drawing_new(int count)
{
	assert(count > 0);
	return (struct drawing){ .count = count,
				 .is = xcalloc((size_t)count * (size_t)count, sizeof(bool)) };
}

/* Places are counted round and round; a vertex has no edge to itself. */
static void add(struct drawing *drawing, int from, int to)
{
	from %= drawing->count;
	to %= drawing->count;
	if (from != to)
		drawing->is[(size_t)from * (size_t)drawing->count + (size_t)to] = true;
}

static void add_pair(struct drawing *drawing, int i, int j)
{
	add(drawing, i, j);
	add(drawing, j, i);
}

/* The drawing is gone. */
static struct graph graph_of(struct drawing *drawing)
{
	struct graph graph = { .count = drawing->count };
	size_t cells = (size_t)graph.count * (size_t)graph.count, edges = 0;

	for (size_t i = 0; i < cells; i++)
		edges += drawing->is[i];
	graph.first = xcalloc((size_t)graph.count + 1, sizeof(*graph.first));
	graph.ends = xcalloc(edges + 1, sizeof(*graph.ends));
	edges = 0;
	for (size_t i = 0; i < cells; i++) {
		if (drawing->is[i])
			graph.ends[edges++] = (int)(i % (size_t)graph.count);
		graph.first[i / (size_t)graph.count + 1] = (int)edges;
	}
	free(drawing->is);
	*drawing = (struct drawing){ 0 };
	return graph;
}

void graph_release(struct graph *graph)
{
	free(graph->first);
	free(graph->ends);
	*graph = (struct graph){ 0 };
}

struct graph graph_ring(int count)
{
	struct drawing drawing = drawing_new(count);

	for (int i = 0; i < count; i++)
		add_pair(&drawing, i, i + 1);
	return graph_of(&drawing);
}

struct graph graph_torus(int count)
{
	struct drawing drawing = drawing_new(count);
	int height = 1, width;

	for (int divisor = 1; divisor <= count / divisor; divisor++)
		if (count % divisor == 0)
			height = divisor;
	width = count / height;
	for (int i = 0; i < count; i++) {
		add_pair(&drawing, i, i / width * width + (i + 1) % width);
		add_pair(&drawing, i, i + width);
	}
	return graph_of(&drawing);
}

struct graph graph_exponential(int count)
{
	struct drawing drawing = drawing_new(count);

	for (int i = 0; i < count; i++)
		for (int step = 1; step < count; step *= 2)
			add_pair(&drawing, i, i + step);
	return graph_of(&drawing);
}

struct graph graph_complete(int count)
{
	struct drawing drawing = drawing_new(count);

	for (int i = 0; i < count; i++)
		for (int j = 0; j < i; j++)
			add_pair(&drawing, i, j);
	return graph_of(&drawing);
}

static struct graph draw_pairs(int count, double probability, const struct rng *rng)
{
	struct drawing drawing = drawing_new(count);
	uint64_t pair = 0;

	for (int i = 0; i < count; i++)
		for (int j = 0; j < i; j++)
			if (rng_uniform(rng, pair++) < probability)
				add_pair(&drawing, i, j);
	return graph_of(&drawing);
}

int graph_erdos_renyi(struct graph *out, int count, double probability, uint64_t seed,
		      struct error *err)
{
	for (uint64_t attempt = 0; attempt < DRAWS; attempt++) {
		struct rng rng = rng_make(seed, RNG_GRAPH, attempt, 0);
		struct graph graph = draw_pairs(count, probability, &rng);

		if (graph_is_connected(&graph)) {
			*out = graph;
			return 0;
		}
		graph_release(&graph);
	}
	return error_set(err,
			 "of %d random graphs of %d ranks with edges of probability %g none is "
			 "connected; take a greater one",
			 DRAWS, count, probability);
}

struct edge {
	double rate;
	int i, j, away; /* places from each other, the shorter way round */
};

static int compare_edges(const void *left, const void *right)
{
	const struct edge *a = left, *b = right;

	if (a->rate != b->rate)
		return a->rate > b->rate ? -1 : 1;
	if (a->away != b->away)
		return a->away < b->away ? -1 : 1;
	return a->i != b->i ? (a->i < b->i ? -1 : 1) : (a->j > b->j) - (a->j < b->j);
}

/* All pairs, the best first. */
static struct edge *sort_edges(int count, const double *rates, size_t *edges)
{
	struct edge *sorted = xcalloc((size_t)count * (size_t)count / 2 + 1, sizeof(*sorted));

	*edges = 0;
	for (int i = 0; i < count; i++) {
		for (int j = i + 1; j < count; j++) {
			double rate = rates[(size_t)i * (size_t)count + (size_t)j];
			int away = j - i < count - (j - i) ? j - i : count - (j - i);

			sorted[(*edges)++] = (struct edge){ isnan(rate) ? -1 : rate, i, j, away };
		}
	}
	qsort(sorted, *edges, sizeof(*sorted), compare_edges);
	return sorted;
}

/* Kruskal's tree, in which `part` names the connected part that a vertex is in. */
static bool joins_parts(int *part, int count, const struct edge *edge)
{
	int from = part[edge->i], to = part[edge->j];

	for (int v = 0; v < count && from != to; v++)
		if (part[v] == from)
			part[v] = to;
	return from != to;
}

struct graph graph_links(int count, const double *rates, int degree)
{
	struct drawing drawing = drawing_new(count);
	int *part = xcalloc((size_t)count, sizeof(*part)), *degrees;
	size_t edges;
	struct edge *sorted = sort_edges(count, rates, &edges);

	degrees = xcalloc((size_t)count, sizeof(*degrees));
	for (int v = 0; v < count; v++)
		part[v] = v;
	for (int more = 0; more <= 1; more++) {
		for (size_t k = 0; k < edges; k++) {
			const struct edge *edge = &sorted[k];
			bool room = degrees[edge->i] < degree && degrees[edge->j] < degree;
			bool taken = drawing.is[(size_t)edge->i * (size_t)count + (size_t)edge->j];

			if (taken || !(more ? room : joins_parts(part, count, edge)))
				continue;
			add_pair(&drawing, edge->i, edge->j);
			degrees[edge->i]++;
			degrees[edge->j]++;
		}
	}
	free(sorted);
	free(part);
	free(degrees);
	return graph_of(&drawing);
}

struct graph graph_directed_ring(int count)
{
	struct drawing drawing = drawing_new(count);

	for (int i = 0; i < count; i++)
		add(&drawing, i, i + 1);
	return graph_of(&drawing);
}

struct graph graph_directed_exponential(int count)
{
	struct drawing drawing = drawing_new(count);

	for (int i = 0; i < count; i++)
		for (int step = 1; step < count; step *= 2)
			add(&drawing, i, i + step);
	return graph_of(&drawing);
}

struct graph graph_directed_random(int count, double probability, uint64_t seed)
{
	struct drawing drawing = drawing_new(count);
	struct rng ring = rng_make(seed, RNG_GRAPH, 0, 1), edges = rng_make(seed, RNG_GRAPH, 0, 2);
	uint32_t *order = xcalloc((size_t)count, sizeof(*order));
	uint64_t edge = 0;

	for (int i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	rng_shuffle(&ring, order, (size_t)count);
	for (int i = 0; i < count; i++)
		add(&drawing, (int)order[i], (int)order[(i + 1) % count]);
	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++)
			if (rng_uniform(&edges, edge++) < probability)
				add(&drawing, i, j);
	free(order);
	return graph_of(&drawing);
}

struct graph graph_one_peer(int count, size_t step)
{
	struct drawing drawing = drawing_new(count);

	for (int i = 0; i < count; i++)
		add(&drawing, i, i + (1 << step % graph_powers(count)));
	return graph_of(&drawing);
}

size_t graph_powers(int count)
{
	size_t powers = 1;

	while (1 << powers < count)
		powers++;
	return powers;
}

const int *graph_ends(const struct graph *graph, int from, int *degree)
{
	assert(from >= 0 && from < graph->count);
	*degree = graph->first[from + 1] - graph->first[from];
	return graph->ends + graph->first[from];
}

bool graph_has(const struct graph *graph, int from, int to)
{
	int degree;
	const int *ends = graph_ends(graph, from, &degree);

	for (int i = 0; i < degree; i++)
		if (ends[i] == to)
			return true;
	return false;
}

bool graph_is_undirected(const struct graph *graph)
{
	for (int i = 0; i < graph->count; i++)
		for (int e = graph->first[i]; e < graph->first[i + 1]; e++)
			if (!graph_has(graph, graph->ends[e], i))
				return false;
	return true;
}

/* Whether vertex 0 leads to all others. */
static bool reaches_all(const struct graph *graph)
{
	bool *seen = xcalloc((size_t)graph->count, sizeof(*seen));
	int *found = xcalloc((size_t)graph->count, sizeof(*found));
	int count = 1;

	seen[0] = true;
	for (int next = 0; next < count; next++) {
		int degree;
		const int *ends = graph_ends(graph, found[next], &degree);

		for (int i = 0; i < degree; i++) {
			if (seen[ends[i]])
				continue;
			seen[ends[i]] = true;
			found[count++] = ends[i];
		}
	}
	free(seen);
	free(found);
	return count == graph->count;
}

bool graph_is_connected(const struct graph *graph)
{
	struct graph reverse;
	bool connected;

	if (!reaches_all(graph))
		return false;
	reverse = graph_reverse(graph);
	connected = reaches_all(&reverse);
	graph_release(&reverse);
	return connected;
}

struct graph graph_reverse(const struct graph *graph)
{
	struct drawing drawing = drawing_new(graph->count);

	for (int i = 0; i < graph->count; i++)
		for (int e = graph->first[i]; e < graph->first[i + 1]; e++)
			add(&drawing, graph->ends[e], i);
	return graph_of(&drawing);
}

static double mutual_weight(const struct graph *graph, int i, int j)
{
	int mine, theirs;

	graph_ends(graph, i, &mine);
	graph_ends(graph, j, &theirs);
	return 1 / (1 + (double)(mine > theirs ? mine : theirs));
}

double graph_metropolis(const struct graph *graph, int i, int j)
{
	double rest = 1;
	int degree;
	const int *ends;

	if (i != j)
		return graph_has(graph, i, j) ? mutual_weight(graph, i, j) : 0;
	ends = graph_ends(graph, i, &degree);
	for (int e = 0; e < degree; e++)
		rest -= mutual_weight(graph, i, ends[e]);
	return rest;
}

double graph_push(const struct graph *graph, int from)
{
	int degree;

	graph_ends(graph, from, &degree);
	return 1 / (1 + (double)degree);
}
