/* A rank's part of mixing with its neighbours. */
#include "runtime/sync/mixing.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/graph.h"

static struct mixing mixing_new(const struct graph *graph)
{
	struct mixing mixing = { .to = xcalloc((size_t)graph->count, sizeof(bool)),
				 .weight = xcalloc((size_t)graph->count, sizeof(float)) };

	mixing.edges = (struct exchange_edges){ .to = mixing.to, .weight = mixing.weight };
	return mixing;
}

void mixing_release(struct mixing *mixing)
{
	free(mixing->to);
	free(mixing->weight);
	*mixing = (struct mixing){ 0 };
}

/* What is left to a rank that gives `parts` of `weight` away: as floats have it, so that nothing
 * comes or goes over many steps. */
static float rest_of(float weight, int parts)
{
	return (float)(1 - (double)parts * (double)weight);
}

struct mixing mixing_metropolis(const struct graph *graph, int index)
{
	struct mixing mixing = mixing_new(graph);
	double rest = 1;

	for (int i = 0; i < graph->count; i++) {
		if (!graph_has(graph, index, i))
			continue;
		mixing.to[i] = true;
		mixing.weight[i] = (float)graph_metropolis(graph, index, i);
		mixing.sources++;
		rest -= (double)mixing.weight[i];
	}
	mixing.weight[index] = (float)fmax(rest, 0);
	return mixing;
}

struct mixing mixing_push(const struct graph *graph, int index)
{
	struct mixing mixing = mixing_new(graph);
	int degree;
	const int *ends = graph_ends(graph, index, &degree);

	for (int e = 0; e < degree; e++)
		mixing.to[ends[e]] = true;
	mixing.weight[index] = rest_of((float)graph_push(graph, index), degree);
	for (int from = 0; from < graph->count; from++) {
		if (!graph_has(graph, from, index))
			continue;
		mixing.weight[from] = (float)graph_push(graph, from);
		mixing.sources++;
	}
	return mixing;
}

double mixing_distance(float *x, const float *mix, size_t count)
{
	double size = sqrt(cpu_sum_squares(mix, count));

	cpu_axpy(x, -1, mix, count);
	return size > 0 ? sqrt(cpu_sum_squares(x, count)) / size : 0;
}
