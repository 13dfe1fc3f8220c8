/* Ranks at any distance from each other stop at one step that all agree on, and never block. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"
#include "runtime/gate.h"

enum { RANKS = 6, STEPS = 2000, TRIES = 30 };

struct simulation {
	struct gate gates[RANKS];
	pthread_barrier_t together; /* a synchronous step: nobody ends it before all began it */
	bool synchronous;
	size_t first, steps;
	size_t stopped[RANKS];
};

struct rank {
	struct simulation *simulation;
	int number;
	unsigned seed;
	pthread_t thread;
};

/* In a process that goes on without it. */
static void gate_destroy(struct gate *gate)
{
	pthread_mutex_destroy(&gate->lock);
	pthread_cond_destroy(&gate->changed);
}

static void dawdle(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	for (unsigned i = 0; i < (*seed >> 16) % 4; i++)
		sched_yield();
}

static void *train(void *arg)
{
	struct rank *rank = arg;
	struct simulation *s = rank->simulation;
	size_t step = s->first;

	for (; step < s->steps && gate_pass(&s->gates[rank->number], step); step++) {
		dawdle(&rank->seed);
		if (s->synchronous)
			pthread_barrier_wait(&s->together);
	}
	s->stopped[rank->number] = step;
	return NULL;
}

static void simulation_init(struct simulation *s, bool synchronous, size_t steps)
{
	*s = (struct simulation){ .synchronous = synchronous, .first = 3, .steps = steps };
	pthread_barrier_init(&s->together, NULL, RANKS);
	for (int r = 0; r < RANKS; r++)
		gate_init(&s->gates[r], s->first);
}

static void simulation_destroy(struct simulation *s)
{
	pthread_barrier_destroy(&s->together);
	for (int r = 0; r < RANKS; r++)
		gate_destroy(&s->gates[r]);
}

/* What the orchestrator does, slowly; returns the step that it told. */
static size_t stop_all(struct simulation *s, unsigned *seed)
{
	size_t until = 0;

	for (int r = 0; r < RANKS; r++) {
		size_t held = gate_hold(&s->gates[r]);

		until = held > until ? held : until;
		dawdle(seed);
	}
	for (int r = RANKS; r-- > 0;) {
		gate_until(&s->gates[r], until);
		dawdle(seed);
	}
	return until;
}

static void start(struct simulation *s, struct rank *ranks, unsigned seed)
{
	for (int r = 0; r < RANKS; r++) {
		ranks[r] = (struct rank){ s, r, seed + (unsigned)r };
		assert_int_equal(pthread_create(&ranks[r].thread, NULL, train, &ranks[r]), 0);
	}
}

static void join(struct rank *ranks)
{
	for (int r = 0; r < RANKS; r++)
		pthread_join(ranks[r].thread, NULL);
}

static void stop_at_random(bool synchronous, unsigned seed)
{
	struct simulation s;
	struct rank ranks[RANKS];
	size_t until;

	simulation_init(&s, synchronous, STEPS);
	start(&s, ranks, seed);
	for (unsigned i = 0; i < seed % 50; i++)
		dawdle(&seed);
	until = stop_all(&s, &seed);
	join(ranks);
	assert_true(until >= s.first && until <= s.steps);
	for (int r = 0; r < RANKS; r++)
		assert_int_equal(s.stopped[r], until);
	simulation_destroy(&s);
}

static void ranks_in_step_stop_at_one_step(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TRIES; i++)
		stop_at_random(true, i);
}

static void ranks_that_run_ahead_stop_at_one_step(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TRIES; i++)
		stop_at_random(false, i);
}

static void held_before_the_first_step_none_begins(void **state)
{
	struct simulation s;
	struct rank ranks[RANKS];
	unsigned seed = 1;

	(void)state;
	simulation_init(&s, true, STEPS);
	assert_int_equal(stop_all(&s, &seed), s.first);
	start(&s, ranks, 1);
	join(ranks);
	for (int r = 0; r < RANKS; r++)
		assert_int_equal(s.stopped[r], s.first);
	simulation_destroy(&s);
}

/* The last step was begun everywhere before anybody asked. */
static void asked_after_the_end_all_have_done_all(void **state)
{
	struct simulation s;
	struct rank ranks[RANKS];
	unsigned seed = 1;

	(void)state;
	simulation_init(&s, true, 10);
	start(&s, ranks, 1);
	join(ranks);
	assert_int_equal(stop_all(&s, &seed), 10);
	for (int r = 0; r < RANKS; r++)
		assert_int_equal(s.stopped[r], 10);
	simulation_destroy(&s);
}

static void asked_twice_it_names_the_same_step(void **state)
{
	struct gate gate;

	(void)state;
	gate_init(&gate, 0);
	assert_true(gate_pass(&gate, 0));
	assert_true(gate_pass(&gate, 1));
	assert_int_equal(gate_hold(&gate), 2);
	assert_int_equal(gate_hold(&gate), 2);
	gate_until(&gate, 4);
	assert_true(gate_pass(&gate, 2));
	assert_true(gate_pass(&gate, 3));
	assert_false(gate_pass(&gate, 4));
	gate_destroy(&gate);
}

static void a_step_in_the_past_stops_at_once(void **state)
{
	struct gate gate;

	(void)state;
	gate_init(&gate, 7);
	assert_true(gate_pass(&gate, 7));
	gate_until(&gate, 3);
	assert_false(gate_pass(&gate, 8));
	gate_destroy(&gate);
}

static void *hold(void *arg)
{
	gate_hold(arg);
	return NULL;
}

static void a_rank_that_dozes_wakes_up_when_it_is_to_hold(void **state)
{
	struct gate gate;
	pthread_t thread;

	(void)state;
	gate_init(&gate, 0);
	assert_true(gate_doze(&gate, clock_now() + 0.01));
	pthread_create(&thread, NULL, hold, &gate);
	assert_false(gate_doze(&gate, clock_now() + 3600));
	pthread_join(thread, NULL);
	gate_until(&gate, 4);
	assert_false(gate_doze(&gate, clock_now() + 3600));
	gate_destroy(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_in_step_stop_at_one_step),
		cmocka_unit_test(ranks_that_run_ahead_stop_at_one_step),
		cmocka_unit_test(held_before_the_first_step_none_begins),
		cmocka_unit_test(asked_after_the_end_all_have_done_all),
		cmocka_unit_test(asked_twice_it_names_the_same_step),
		cmocka_unit_test(a_step_in_the_past_stops_at_once),
		cmocka_unit_test(a_rank_that_dozes_wakes_up_when_it_is_to_hold),
	};

	alarm(600); /* ranks that wait for each other for ever */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
