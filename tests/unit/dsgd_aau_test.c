/* Asynchronous decentralised SGD over real nets: its meetings are those of one sequential search.
 */
#include "tests/unit/unit.h"

#include "runtime/graph.h"
#include "runtime/sync/meeting.h"
#include "runtime/sync/pathsearch.h"
#include "tests/unit/paced.h"

extern const struct sync_strategy sync_dsgd_aau;

enum { MEETINGS = 4096 };

/* What was called since all met last, on any rank. */
static struct {
	pthread_mutex_t lock; /* guards all below */
	int members[MEETINGS][CLUSTER_MAX], count[MEETINGS];
	struct graph graph;
	size_t called;
} heard = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void hear(void *state, int peer, uint64_t tag, const void *bytes, size_t length)
{
	int members[CLUSTER_MAX];
	uint64_t number;
	int count = meeting_called(tag, bytes, length, members, CLUSTER_MAX, &number);

	if (count > 0) {
		assert(number > 0 && number < MEETINGS);
		pthread_mutex_lock(&heard.lock);
		assert(heard.count[number] == 0 || heard.count[number] == count);
		heard.count[number] = count;
		memcpy(heard.members[number], members, (size_t)count * sizeof(*members));
		pthread_mutex_unlock(&heard.lock);
	}
	sync_dsgd_aau.serve(state, peer, tag, bytes, length);
}

/* One search that hears of those who wait in the order of the log calls the same meetings. */
static void replay(const struct graph *graph)
{
	struct pathsearch search = pathsearch_new(graph, PATHSEARCH_FOREST, 0);
	struct pathsearch_event event;

	for (size_t n = 1; n < MEETINGS && heard.count[n] > 0; n++) {
		assert(n - 1 == search.cycle * (uint64_t)(graph->count - 1) + search.edge_count);
		for (int i = 0; i < heard.count[n]; i++)
			assert(pathsearch_ready(&search, heard.members[n][i], &event) ==
			       (i + 1 == heard.count[n]));
		assert(event.count == heard.count[n]);
		assert(memcmp(event.members, heard.members[n],
			      (size_t)event.count * sizeof(*event.members)) == 0);
		heard.count[n] = 0;
		heard.called++;
	}
	for (size_t n = 1; n < MEETINGS; n++)
		assert(heard.count[n] == 0);
	pathsearch_release(&search);
}

/* When one rank settles, all have heard all. */
static int settle(void *state, float *weight, struct error *err)
{
	pthread_mutex_lock(&heard.lock);
	replay(&heard.graph);
	pthread_mutex_unlock(&heard.lock);
	return sync_dsgd_aau.settle(state, weight, err);
}

static const struct sync_strategy *spied(void)
{
	static struct sync_strategy strategy;

	strategy = sync_dsgd_aau;
	strategy.serve = hear;
	strategy.settle = settle;
	return &strategy;
}

static void meet(const char *spec, int world, struct paced *run)
{
	struct part defaults = part_default(&sync_strategies, "dsgd_aau");

	run->strategy = spied();
	run->params = defaults.params;
	heard.graph = graph_ring(world);
	heard.called = 0;
	if (spec)
		cluster_run(spec, world, paced_body, run);
	else
		cluster_run_every(world, 60, paced_body, run);
	assert_true(heard.called >= (size_t)world - 1);
	graph_release(&heard.graph);
	part_release(&defaults);
}

static void meetings_are_those_of_one_search_and_keep_the_mean(void **state)
{
	(void)state;
	for (int world = 2; world <= 8; world++) {
		struct paced run = { .steps = 60, .every = 7, .delay_s = 0.002 };

		meet("inproc", world, &run);
		assert_in_range(run.meetings, 4, 20);
	}
}

static void they_are_on_every_transport(void **state)
{
	struct paced run = { .steps = 40, .every = 11, .delay_s = 0.002 };

	(void)state;
	meet(NULL, 5, &run);
}

static void without_updates_all_agree(void **state)
{
	struct paced run = { .steps = 400, .delay_s = 0.0005 };

	(void)state;
	meet("inproc", 4, &run);
	for (int r = 0; r < 4; r++)
		assert_true(run.apart[r] < 1e-6);
}

static void alone_nobody_waits(void **state)
{
	struct part part = part_default(&sync_strategies, "dsgd_aau");
	struct paced run = {
		.strategy = &sync_dsgd_aau, .params = part.params, .steps = 20, .every = 5
	};

	(void)state;
	cluster_run("inproc", 1, paced_body, &run);
	assert_int_equal(run.done[0], 20);
	part_release(&part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(meetings_are_those_of_one_search_and_keep_the_mean),
		cmocka_unit_test(they_are_on_every_transport),
		cmocka_unit_test(without_updates_all_agree),
		cmocka_unit_test(alone_nobody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
