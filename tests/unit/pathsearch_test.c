/* Pathsearch, driven by simulated workers with delays: what holds in every cycle of every graph. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/rng.h"
#include "runtime/sync/pathsearch.h"

enum { MOST = 16, GRAPHS = 1000 / SPACING, WIDTH = 3 };

/* Workers that compute for random whiles. Time stands in `free_at`; INFINITY: waits, or stopped. */
struct world {
	struct graph graph;
	struct pathsearch search;
	uint64_t seed, draws;
	double now, ready_at[MOST];
	int stopped; /* this worker does not finish its step; -1: none */
	bool part_of[MOST];
	uint64_t cycle;		   /* of what follows */
	size_t events, repeats;	   /* in it; without news */
	bool together[MOST][MOST]; /* by its edges, in the closure */
	double x[MOST][WIDTH];
};

static double draw(struct world *world)
{
	struct rng rng = rng_make(world->seed, RNG_DATA, 1, 0);

	return rng_uniform(&rng, world->draws++);
}

/* One in ten steps takes ten times as long. */
static void compute(struct world *world, int vertex)
{
	double whole = (1 + draw(world) / 10) * (draw(world) < 0.1 ? 10 : 1);

	world->ready_at[vertex] = world->now + whole;
}

static void begin_cycle(struct world *world)
{
	world->cycle = world->search.cycle;
	world->events = world->repeats = 0;
	memset(world->part_of, 0, sizeof(world->part_of));
	memset(world->together, 0, sizeof(world->together));
	for (int v = 0; v < MOST; v++)
		world->together[v][v] = true;
}

static struct world *world_new(uint64_t seed, enum pathsearch_rule rule, uint64_t repeats)
{
	struct world *world = xcalloc(1, sizeof(*world));
	int count = 2 + (int)(seed % (MOST - 1));
	struct error err;

	world->seed = seed;
	world->stopped = -1;
	assert_int_equal(graph_erdos_renyi(&world->graph, count, 0.4, seed, &err), 0);
	for (int v = 0; v < count; v++) {
		for (int i = 0; i < WIDTH; i++)
			world->x[v][i] = draw(world);
		compute(world, v);
	}
	world->search = pathsearch_new(&world->graph, rule, repeats);
	begin_cycle(world);
	return world;
}

static void world_release(struct world *world)
{
	pathsearch_release(&world->search);
	graph_release(&world->graph);
	free(world);
}

static void check_edge(struct world *world, const struct pathsearch_event *event)
{
	int a = event->edge.from, b = event->edge.to, count = world->graph.count;

	assert_true(graph_has(&world->graph, a, b));
	assert_int_equal(event->members[event->count - 1], b);
	if (world->search.rule == PATHSEARCH_FOREST && world->together[a][b])
		assert_true(++world->repeats <= world->search.most_repeats);
	for (int u = 0; u < count; u++)
		for (int v = 0; v < count; v++)
			if ((world->together[u][a] && world->together[b][v]) ||
			    (world->together[u][b] && world->together[a][v]))
				world->together[u][v] = world->together[v][u] = true;
}

/* The whole matrix of an event, [count][count], is symmetric, its rows and columns sum to 1, and
 * who is no member keeps what it has. */
static void mix(struct world *world, const struct pathsearch_event *event)
{
	double matrix[MOST][MOST] = { 0 }, mixed[MOST][WIDTH] = { 0 };
	int count = world->graph.count;

	for (int v = 0; v < count; v++)
		matrix[v][v] = 1;
	for (int i = 0; i < event->count; i++) {
		double part[MOST];

		pathsearch_parts(&world->graph, event->members, event->count, i, part);
		for (int j = 0; j < event->count; j++)
			matrix[event->members[i]][event->members[j]] = part[j];
	}
	for (int u = 0; u < count; u++) {
		double row = 0;

		for (int v = 0; v < count; v++) {
			assert_true(matrix[u][v] >= -1e-15 && matrix[u][v] == matrix[v][u]);
			assert_true(u == v || matrix[u][v] == 0 || graph_has(&world->graph, u, v));
			row += matrix[u][v];
			for (int i = 0; i < WIDTH; i++)
				mixed[u][i] += matrix[u][v] * world->x[v][i];
		}
		assert_true(fabs(row - 1) < 1e-12);
	}
	memcpy(world->x, mixed, sizeof(mixed));
}

/* The worker that is done next becomes ready. False: nobody computes any more. */
static bool go_on(struct world *world)
{
	struct pathsearch_event event;
	uint64_t cycle = world->search.cycle;
	int next = -1;

	if (world->cycle != cycle)
		begin_cycle(world);

	for (int v = 0; v < world->graph.count; v++)
		if (v != world->stopped && isfinite(world->ready_at[v]) &&
		    (next < 0 || world->ready_at[v] < world->ready_at[next]))
			next = v;
	if (next < 0)
		return false;
	world->now = fmax(world->now, world->ready_at[next]);
	world->ready_at[next] = INFINITY;
	if (!pathsearch_ready(&world->search, next, &event))
		return true;
	assert_true(event.cycle == cycle);
	check_edge(world, &event);
	mix(world, &event);
	world->events++;
	for (int i = 0; i < event.count; i++) {
		assert_true(isinf(world->ready_at[event.members[i]]));
		world->part_of[event.members[i]] = true;
		compute(world, event.members[i]);
	}
	return true;
}

/* All take part in a cycle, and what edges it establishes connects them. */
static void check_cycle(struct world *world)
{
	int count = world->graph.count;

	for (int v = 0; v < count; v++)
		assert_true(world->part_of[v] && world->together[0][v]);
	if (world->search.rule == PATHSEARCH_FOREST)
		assert_int_equal(world->events - world->repeats, count - 1);
	else
		assert_in_range(world->events, count - 1, world->graph.first[count] / 2);
}

/* Nobody waits for ever: a cycle ends after finitely many steps. */
static void run_cycle(struct world *world)
{
	uint64_t cycle = world->search.cycle;

	while (world->search.cycle == cycle)
		assert_true(go_on(world));
	check_cycle(world);
}

static void every_cycle_has_one_event_less_than_workers_and_all_take_part(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
		struct world *world = world_new(seed, PATHSEARCH_FOREST, 0);

		for (int cycle = 0; cycle < 5; cycle++)
			run_cycle(world);
		world_release(world);
	}
}

static void by_edges_every_cycle_connects_all_with_edges_that_differ(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
		struct world *world = world_new(seed, PATHSEARCH_EDGE, 0);

		for (int cycle = 0; cycle < 3; cycle++)
			run_cycle(world);
		world_release(world);
	}
}

/* Who is connected goes on meeting, but a cycle ends, and so do the meetings while one is stopped.
 */
static void with_repeats_cycles_still_connect_all_and_end(void **state)
{
	size_t repeats = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
		struct world *world = world_new(seed, PATHSEARCH_FOREST, 4);
		int count = world->graph.count;

		for (int cycle = 0; cycle < 3; cycle++) {
			run_cycle(world);
			repeats += world->repeats;
		}
		world->stopped = (int)(seed % (uint64_t)count);
		while (go_on(world))
			;
		assert_true(world->events < (size_t)(4 + 1) * (size_t)count);
		world->stopped = -1;
		run_cycle(world);
		world_release(world);
	}
	assert_true(repeats > GRAPHS);
}

static bool is_connected_without(const struct graph *graph, int removed)
{
	bool seen[MOST] = { false };
	int found = 0, stack[MOST], depth = 0;

	stack[depth++] = removed == 0 ? 1 : 0;
	seen[stack[0]] = true;
	while (depth > 0) {
		int v = stack[--depth];

		found++;
		for (int u = 0; u < graph->count; u++)
			if (u != removed && !seen[u] && graph_has(graph, v, u)) {
				seen[u] = true;
				stack[depth++] = u;
			}
	}
	return found == graph->count - 1;
}

static void others_go_on_without_a_stopped_worker_until_they_need_it(void **state)
{
	size_t tried = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
		struct world *world = world_new(seed, PATHSEARCH_FOREST, 0);
		int count = world->graph.count;

		run_cycle(world);
		world->stopped = (int)(seed % (uint64_t)count);
		if (is_connected_without(&world->graph, world->stopped)) {
			uint64_t cycle = world->search.cycle;

			tried++;
			while (go_on(world))
				;
			assert_true(world->search.cycle == cycle);
			assert_int_equal(world->events, count - 2);
			assert_int_equal(world->search.ready_count, count - 1);
			world->stopped = -1;
			assert_true(go_on(world));
			assert_true(world->search.cycle == cycle + 1);
			check_cycle(world);
			run_cycle(world);
		}
		world_release(world);
	}
	assert_true(tried > GRAPHS / 2);
}

/* Squares of the distances from the mean, in all. */
static double apart(const struct world *world, double mean[WIDTH])
{
	double sum = 0;

	for (int i = 0; i < WIDTH; i++) {
		mean[i] = 0;
		for (int v = 0; v < world->graph.count; v++)
			mean[i] += world->x[v][i] / world->graph.count;
		for (int v = 0; v < world->graph.count; v++)
			sum += pow(world->x[v][i] - mean[i], 2);
	}
	return sum;
}

/* Sparse graphs take longer. */
static void without_updates_all_agree_on_the_mean_within_forty_cycles(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct world *world = world_new(seed, PATHSEARCH_FOREST, 0);
		double before[WIDTH], after[WIDTH], first = apart(world, before);
		int ends = world->graph.first[world->graph.count];
		int cycles = ends >= 4 * world->graph.count ? 40 : 100;

		while (world->search.cycle < (uint64_t)cycles)
			run_cycle(world);
		assert_true(apart(world, after) < 1e-12 * first);
		for (int i = 0; i < WIDTH; i++)
			assert_true(fabs(after[i] - before[i]) < 1e-13);
		world_release(world);
	}
}

static void where_all_take_part_it_is_a_step_of_synchronous_gossip(void **state)
{
	struct graph graph;
	struct error err;
	int members[9];
	double part[9];

	(void)state;
	assert_int_equal(graph_erdos_renyi(&graph, 9, 0.4, 3, &err), 0);
	for (int v = 0; v < 9; v++)
		members[v] = (v * 4 + 1) % 9;
	for (int i = 0; i < 9; i++) {
		pathsearch_parts(&graph, members, 9, i, part);
		for (int j = 0; j < 9; j++)
			assert_true(fabs(part[j] -
					 graph_metropolis(&graph, members[i], members[j])) < 1e-15);
	}
	graph_release(&graph);
}

/* Handing the search over at any time changes nothing. */
static void another_search_goes_on_where_one_was_put_away(void **state)
{
	(void)state;
	for (int rule = PATHSEARCH_FOREST; rule <= PATHSEARCH_EDGE; rule++) {
		struct world *world = world_new(13, (enum pathsearch_rule)rule, 3);
		struct pathsearch other = pathsearch_new(&world->graph, world->search.rule, 3);
		struct buf text = { 0 }, again = { 0 };

		for (int i = 0; i < 300; i++) {
			struct wire wire;

			assert_true(go_on(world));
			buf_consume(&text, text.length);
			buf_consume(&again, again.length);
			pathsearch_put(&world->search, &text);
			wire = wire_reader(text.data, text.length);
			assert_int_equal(pathsearch_get(&other, &wire), 0);
			assert_int_equal(wire.left, 0);
			assert_int_equal(other.trees, world->search.trees);
			assert_memory_equal(other.tree, world->search.tree,
					    (size_t)world->graph.count * sizeof(*other.tree));
			pathsearch_put(&other, &again);
			assert_int_equal(again.length, text.length);
			assert_memory_equal(again.data, text.data, text.length);
			text.data[i % (int)text.length] ^= (char)0x80;
			wire = wire_reader(text.data, text.length - (size_t)(i & 1));
			pathsearch_get(&other, &wire);
		}
		buf_release(&text);
		buf_release(&again);
		pathsearch_release(&other);
		world_release(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cycle_has_one_event_less_than_workers_and_all_take_part),
		cmocka_unit_test(by_edges_every_cycle_connects_all_with_edges_that_differ),
		cmocka_unit_test(with_repeats_cycles_still_connect_all_and_end),
		cmocka_unit_test(others_go_on_without_a_stopped_worker_until_they_need_it),
		cmocka_unit_test(without_updates_all_agree_on_the_mean_within_forty_cycles),
		cmocka_unit_test(where_all_take_part_it_is_a_step_of_synchronous_gossip),
		cmocka_unit_test(another_search_goes_on_where_one_was_put_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
