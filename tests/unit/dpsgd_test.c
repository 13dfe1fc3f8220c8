/* Mixing with neighbours as floats: what D-PSGD must do on any graph. */
#include "tests/unit/unit.h"

#include "runtime/graph.h"
#include "tests/unit/neighbours.h"

static const char *const graphs[] = { "ring",	     "torus",	 "exponential",
				      "erdos_renyi", "complete", NULL };

static struct trial *run(const char *graph, int world, size_t steps, double rate)
{
	const char *const options[] = { "graph", graph, NULL };
	struct trial *trial = trial_new(&(struct trial){ .strategy = "dpsgd",
							 .options = options,
							 .world = world,
							 .steps = steps,
							 .rate = rate });

	trial_run(trial, "inproc");
	return trial;
}

static void on_a_complete_graph_one_step_gives_the_mean_of_all(void **state)
{
	(void)state;
	for (int world = 1; world <= WORLD_MAX; world += 5) {
		struct trial *trial = run("complete", world, 1, 0);

		for (size_t i = 0; i < COUNT; i++)
			for (int r = 0; r < world; r++)
				assert_true(fabs((double)trial->end[r].x[i] -
						 trial_mean(trial, i, false)) < 1e-6);
		assert_true(trial->drift[0].participants == world);
		free(trial);
	}
}

/* The weights of one step are those of the matrix. */
static void a_step_is_the_product_with_the_metropolis_weights(void **state)
{
	enum { WORLD = 6 };
	struct trial *trial = run("torus", WORLD, 1, 0);
	struct graph graph = graph_torus(WORLD);

	(void)state;
	for (int r = 0; r < WORLD; r++) {
		for (size_t i = 0; i < COUNT; i++) {
			double mix = 0;

			for (int j = 0; j < WORLD; j++)
				mix += graph_metropolis(&graph, r, j) * (double)trial->begin[j][i];
			assert_true(fabs(mix - (double)trial->end[r].x[i]) < 1e-6);
		}
	}
	graph_release(&graph);
	free(trial);
}

static void ranks_come_together_and_their_mean_stays_where_it_was(void **state)
{
	(void)state;
	for (size_t g = 0; graphs[g]; g++) {
		for (int world = 2; world <= WORLD_MAX; world += 7 * SPACING) {
			struct trial *trial = run(graphs[g], world, 200 + 40 * (size_t)world, 0);

			assert_true(trial_spread(trial) < 1e-5);
			assert_true(trial->drift[0].consensus < 1e-4);
			for (size_t i = 0; i < COUNT; i++)
				assert_true(fabs(trial_mean(trial, i, true) -
						 trial_mean(trial, i, false)) < 1e-5);
			free(trial);
		}
	}
}

/* Whatever the graph, the mean takes the mean of the steps: that of the bowls is approached. */
static void the_mean_goes_to_the_bottom_of_all_bowls_together(void **state)
{
	struct trial *trial = run("ring", 8, 200, 0.3);

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		double bottom = 0;

		for (int r = 0; r < 8; r++)
			bottom += (double)neighbours_number(r, 2000, i) / 8;
		assert_true(fabs(trial_mean(trial, i, true) - bottom) < 1e-3);
	}
	free(trial);
}

static void a_rank_sends_its_weights_to_its_neighbours_alone(void **state)
{
	struct trial *trial = run("ring", 8, 3, 0);

	(void)state;
	for (int r = 0; r < 8; r++)
		assert_true(trial->payload[r] == 3 * 2 * COUNT * sizeof(float));
	assert_true(trial->saved[0] == 0 && trial->drift[5].participants == 3);
	free(trial);
}

static void what_goes_on_has_the_same_bits(void **state)
{
	(void)state;
	check_resume(&(struct trial){ .strategy = "dpsgd", .world = 4, .steps = 10, .rate = 0.2 },
		     "tcp encrypt=no");
}

static void links_that_nobody_knows_make_no_graph(void **state)
{
	const char *const options[] = { "graph", "links", NULL };
	struct part part = part_with(registry_find(&sync_strategies, "dpsgd"), options);
	const struct sync_strategy *strategy = PART_AS(&part, struct sync_strategy);
	struct sync_params params = { .bucket_bytes = 1024 };
	const int ranks[] = { 0, 1 };
	const struct group world = { .ranks = ranks, .count = 2 };
	struct sync_env env = { .world = &world, .count = COUNT };
	struct sync *sync = NULL;
	struct error err;

	(void)state;
	assert_true(strategy->wants_links(part.params));
	assert_int_equal(sync_new(&sync, &part, &params, &env, &err), -1);
	assert_non_null(strstr(err.text, "nothing is known of the links"));
	part_release(&part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_a_complete_graph_one_step_gives_the_mean_of_all),
		cmocka_unit_test(a_step_is_the_product_with_the_metropolis_weights),
		cmocka_unit_test(ranks_come_together_and_their_mean_stays_where_it_was),
		cmocka_unit_test(the_mean_goes_to_the_bottom_of_all_bowls_together),
		cmocka_unit_test(a_rank_sends_its_weights_to_its_neighbours_alone),
		cmocka_unit_test(what_goes_on_has_the_same_bits),
		cmocka_unit_test(links_that_nobody_knows_make_no_graph),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
