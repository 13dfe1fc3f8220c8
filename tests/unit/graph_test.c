/* Graphs of neighbours and their weights: what every one must be, for up to 33 ranks. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/graph.h"

enum { MOST = 33, SEED = 7 };

/* As fast as places are near to each other; of every third pair nothing is known. */
static double *some_rates(int count)
{
	double *rates = xcalloc((size_t)count * (size_t)count, sizeof(*rates));

	for (int i = 0; i < count; i++)
		for (int j = 0; j < count; j++)
			rates[i * count + j] = (i + j) % 3 == 0 ? NAN : 1e6 / (1 + abs(i - j));
	return rates;
}

static struct graph of_links(int count)
{
	double *rates = some_rates(count);
	struct graph graph = graph_links(count, rates, 4);

	free(rates);
	return graph;
}

static struct graph erdos_renyi(int count)
{
	struct graph graph = { 0 };
	struct error err;

	assert_int_equal(graph_erdos_renyi(&graph, count, 0.3, SEED, &err), 0);
	return graph;
}

static struct graph directed_random(int count)
{
	return graph_directed_random(count, 0.2, SEED);
}

static struct graph (*const undirected[])(int count) = {
	graph_ring, graph_torus, graph_exponential, graph_complete, erdos_renyi, of_links,
};

static struct graph (*const directed[])(int count) = {
	graph_directed_ring,
	graph_directed_exponential,
	directed_random,
};

#define EACH(kind, kinds) for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*(kinds)); kind++)

static void check_rows(const struct graph *graph)
{
	for (int i = 0; i < graph->count; i++) {
		int degree;
		const int *ends = graph_ends(graph, i, &degree);

		for (int e = 0; e < degree; e++) {
			assert_true(ends[e] >= 0 && ends[e] < graph->count && ends[e] != i);
			assert_true(e == 0 || ends[e - 1] < ends[e]);
		}
	}
}

static void undirected_graphs_are_connected_and_have_each_edge_both_ways(void **state)
{
	(void)state;
	EACH(kind, undirected)
	{
		for (int count = 1; count <= MOST; count++) {
			struct graph graph = undirected[kind](count);

			assert_int_equal(graph.count, count);
			check_rows(&graph);
			assert_true(graph_is_undirected(&graph));
			assert_true(graph_is_connected(&graph));
			graph_release(&graph);
		}
	}
}

static void metropolis_weights_are_symmetric_and_doubly_stochastic(void **state)
{
	(void)state;
	EACH(kind, undirected)
	{
		for (int count = 1; count <= MOST; count++) {
			struct graph graph = undirected[kind](count);

			for (int i = 0; i < count; i++) {
				double row = 0;

				for (int j = 0; j < count; j++) {
					double weight = graph_metropolis(&graph, i, j);

					assert_true(weight == graph_metropolis(&graph, j, i));
					assert_true(weight >= -1e-15);
					assert_true((weight > 0) ==
							    (i == j || graph_has(&graph, i, j)) ||
						    (i == j && weight < 1e-15));
					row += weight;
				}
				assert_true(fabs(row - 1) < 1e-14);
			}
			graph_release(&graph);
		}
	}
}

static void directed_graphs_are_strongly_connected_and_give_away_all_that_they_have(void **state)
{
	(void)state;
	EACH(kind, directed)
	{
		for (int count = 1; count <= MOST; count++) {
			struct graph graph = directed[kind](count);

			check_rows(&graph);
			assert_true(graph_is_connected(&graph));
			for (int from = 0; from < count; from++) {
				int degree;

				graph_ends(&graph, from, &degree);
				assert_true(fabs((1 + degree) * graph_push(&graph, from) - 1) <
					    1e-15);
			}
			graph_release(&graph);
		}
	}
}

static void the_same_arguments_give_the_same_graph_and_another_seed_another_one(void **state)
{
	struct graph one = erdos_renyi(MOST), same = erdos_renyi(MOST), other = { 0 };
	struct graph first = directed_random(MOST), second = graph_directed_random(MOST, 0.2, 8);
	size_t size = (size_t)one.first[MOST] * sizeof(*one.ends);
	struct error err;

	(void)state;
	assert_int_equal(graph_erdos_renyi(&other, MOST, 0.3, SEED + 1, &err), 0);
	assert_memory_equal(one.first, same.first, (MOST + 1) * sizeof(*one.first));
	assert_memory_equal(one.ends, same.ends, size);
	assert_true(memcmp(one.first, other.first, (MOST + 1) * sizeof(*one.first)) != 0);
	assert_true(memcmp(first.first, second.first, (MOST + 1) * sizeof(*one.first)) != 0);
	graph_release(&one);
	graph_release(&same);
	graph_release(&other);
	graph_release(&first);
	graph_release(&second);
}

static void a_random_graph_is_drawn_again_until_it_is_connected_and_given_up_at_last(void **state)
{
	struct graph graph = { 0 };
	struct error err;

	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) { /* most of these are not, at first */
		assert_int_equal(graph_erdos_renyi(&graph, 8, 0.25, seed, &err), 0);
		assert_true(graph_is_connected(&graph));
		graph_release(&graph);
	}
	assert_int_equal(graph_erdos_renyi(&graph, 33, 0.001, SEED, &err), -1);
	assert_non_null(strstr(err.text, "none is connected"));
	assert_null(graph.ends);
}

static void two_halves_without_a_link_are_not_connected(void **state)
{
	int first[] = { 0, 1, 2, 3, 4 }, apart[] = { 1, 0, 3, 2 }, one_way[] = { 1, 2, 3, 2 };
	struct graph halves = { .count = 4, .first = first, .ends = apart };
	struct graph dead_end = { .count = 4, .first = first, .ends = one_way };

	(void)state;
	assert_true(graph_is_undirected(&halves));
	assert_false(graph_is_connected(&halves));
	assert_false(graph_is_undirected(&dead_end));
	assert_false(graph_is_connected(&dead_end)); /* all are reached, 0 is not */
}

static void a_torus_is_as_square_as_its_number_of_ranks_allows(void **state)
{
	struct graph twelve = graph_torus(12), prime = graph_torus(13), sixteen = graph_torus(16);
	const int of_5[] = { 1, 4, 6, 9 };
	int degree;

	(void)state;
	assert_memory_equal(graph_ends(&twelve, 5, &degree), of_5, sizeof(of_5));
	assert_int_equal(degree, 4); /* 3 rows of 4 */
	graph_ends(&prime, 5, &degree);
	assert_int_equal(degree, 2);
	assert_true(graph_has(&sixteen, 0, 12) && graph_has(&sixteen, 0, 3));
	graph_release(&twelve);
	graph_release(&prime);
	graph_release(&sixteen);
}

static void exponential_neighbours_are_powers_of_two_away(void **state)
{
	struct graph both = graph_exponential(16), one = graph_directed_exponential(16);
	const int ends[] = { 4, 5, 7, 11 };
	int degree;

	(void)state;
	assert_memory_equal(graph_ends(&one, 3, &degree), ends, sizeof(ends));
	assert_int_equal(degree, 4);
	graph_ends(&both, 3, &degree);
	assert_int_equal(degree, 7); /* 8 away is the same either way */
	graph_release(&both);
	graph_release(&one);
}

static void one_peer_graphs_are_the_exponential_one_step_by_step(void **state)
{
	(void)state;
	for (int count = 1; count <= MOST; count++) {
		struct graph all = graph_directed_exponential(count);
		int edges = 0;

		for (size_t step = 0; step < graph_powers(count); step++) {
			struct graph graph = graph_one_peer(count, step);

			for (int i = 0; i < count; i++) {
				int degree;
				const int *ends = graph_ends(&graph, i, &degree);

				assert_int_equal(degree, count > 1);
				assert_true(degree == 0 || graph_has(&all, i, *ends));
				edges += degree;
			}
			graph_release(&graph);
		}
		assert_int_equal(edges, all.first[count]);
		graph_release(&all);
	}
}

/* Two racks of three behind a thin uplink. */
static double rack_rate(int i, int j)
{
	return i / 3 == j / 3 ? 100 : 10 + (i == 2 && j == 3);
}

static void slow_links_are_used_only_where_nothing_else_connects(void **state)
{
	double rates[36];
	struct graph tree, more;
	int across = 0;

	(void)state;
	for (int i = 0; i < 36; i++)
		rates[i] = rack_rate(i / 6, i % 6);
	tree = graph_links(6, rates, 1);
	more = graph_links(6, rates, 2);
	assert_int_equal(tree.first[6], 2 * 5);
	for (int i = 0; i < 3; i++)
		for (int j = 3; j < 6; j++)
			across += graph_has(&tree, i, j);
	assert_int_equal(across, 1);
	assert_true(graph_has(&tree, 2, 3));
	for (int i = 0; i < 6; i++)
		for (int e = tree.first[i]; e < tree.first[i + 1]; e++)
			assert_true(graph_has(&more, i, tree.ends[e]));
	assert_true(graph_has(&more, 0, 1) && graph_has(&more, 3, 4));
	assert_true(more.first[6] > tree.first[6]);
	graph_release(&tree);
	graph_release(&more);
}

static void links_that_are_all_alike_make_a_ring(void **state)
{
	double rates[81];
	struct graph graph, ring = graph_ring(9);

	(void)state;
	for (int i = 0; i < 81; i++)
		rates[i] = 1e9;
	graph = graph_links(9, rates, 2);
	assert_memory_equal(graph.first, ring.first, 10 * sizeof(int));
	assert_memory_equal(graph.ends, ring.ends, 18 * sizeof(int));
	graph_release(&graph);
	graph_release(&ring);
}

static void the_reverse_of_a_graph_has_its_edges_the_other_way(void **state)
{
	struct graph graph = directed_random(12), reverse = graph_reverse(&graph);

	(void)state;
	for (int i = 0; i < 12; i++)
		for (int j = 0; j < 12; j++)
			assert_true(graph_has(&graph, i, j) == graph_has(&reverse, j, i));
	graph_release(&graph);
	graph_release(&reverse);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(undirected_graphs_are_connected_and_have_each_edge_both_ways),
		cmocka_unit_test(metropolis_weights_are_symmetric_and_doubly_stochastic),
		cmocka_unit_test(
			directed_graphs_are_strongly_connected_and_give_away_all_that_they_have),
		cmocka_unit_test(
			the_same_arguments_give_the_same_graph_and_another_seed_another_one),
		cmocka_unit_test(
			a_random_graph_is_drawn_again_until_it_is_connected_and_given_up_at_last),
		cmocka_unit_test(two_halves_without_a_link_are_not_connected),
		cmocka_unit_test(a_torus_is_as_square_as_its_number_of_ranks_allows),
		cmocka_unit_test(exponential_neighbours_are_powers_of_two_away),
		cmocka_unit_test(one_peer_graphs_are_the_exponential_one_step_by_step),
		cmocka_unit_test(slow_links_are_used_only_where_nothing_else_connects),
		cmocka_unit_test(links_that_are_all_alike_make_a_ring),
		cmocka_unit_test(the_reverse_of_a_graph_has_its_edges_the_other_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
