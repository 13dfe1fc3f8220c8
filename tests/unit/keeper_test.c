/* What a holder of parameters does with updates. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/draw.h"
#include "lib/memory.h"
#include "runtime/sync/kardam_filter.h"
#include "runtime/sync/keeper.h"

enum { WORKERS = 4, COUNT = 100, UPDATES = 400 };

struct desk {
	struct keeper keeper;
	uint64_t clock[WORKERS], owed[WORKERS], waiting[WORKERS], version;
};

static void desk_open(struct desk *desk, struct dampening dampening, bool rounds,
		      const struct keeper_judge *judge)
{
	memset(desk, 0, sizeof(*desk));
	desk->keeper = (struct keeper){
		.count = COUNT,
		.scale = 1.0f / WORKERS,
		.dampening = dampening,
		.rounds = rounds,
		.judge = judge,
		.ledger = { .workers = WORKERS, .clock = desk->clock, .owed = desk->owed },
		.version = &desk->version,
		.waiting = desk->waiting
	};
	keeper_init(&desk->keeper);
	for (size_t i = 0; i < COUNT; i++)
		desk->keeper.values[i] = (float)i;
}

static const struct dampening constant = { .kind = DAMPENING_CONSTANT };

static void fill(float *x, uint64_t which)
{
	struct draw draw = { .seed = 5, .stream = which };

	for (uint64_t i = 0; i < COUNT; i++)
		x[i] = (float)draw_below(&draw, i, 1000) / 500 - 1;
}

static void send(struct desk *desk, size_t worker, uint64_t clock, uint64_t version,
		 const float *floats)
{
	struct keeper_update update = {
		.worker = worker, .clock = clock, .version = version, .own = 1, .floats = floats
	};

	assert_true(keeper_take(&desk->keeper, &update));
}

static void an_update_is_a_part_of_a_step_and_applied_once(void **state)
{
	struct desk desk;
	float x[COUNT];

	(void)state;
	fill(x, 1);
	desk_open(&desk, constant, false, NULL);
	send(&desk, 2, 1, 0, x);
	send(&desk, 2, 1, 0, x);
	assert_int_equal(desk.version, 1);
	for (size_t i = 0; i < COUNT; i++)
		assert_true(desk.keeper.values[i] == (float)i + x[i] * (1.0f / WORKERS));
	keeper_release(&desk.keeper);
}

static void an_update_after_a_gap_is_dropped(void **state)
{
	struct desk desk;
	float x[COUNT];
	struct keeper_update update = { .worker = 1, .clock = 2, .floats = x };

	(void)state;
	fill(x, 1);
	desk_open(&desk, constant, false, NULL);
	assert_false(keeper_take(&desk.keeper, &update));
	assert_int_equal(desk.version, 0);
	assert_true(desk.keeper.values[1] == 1);
	keeper_release(&desk.keeper);
}

/* An update that missed as many others as there are workers is one step late. */
static void a_late_update_is_dampened_by_the_steps_that_it_missed(void **state)
{
	struct dampening inverse = { .kind = DAMPENING_INVERSE };
	struct desk desk;
	float zero[COUNT] = { 0 }, x[COUNT];
	double median, most, accepted;

	(void)state;
	fill(x, 1);
	desk_open(&desk, inverse, false, NULL);
	for (uint64_t clock = 1; clock <= WORKERS; clock++)
		send(&desk, 0, clock, clock - 1, zero);
	send(&desk, 1, 1, 0, x);
	for (size_t i = 0; i < COUNT; i++)
		assert_true(desk.keeper.values[i] == (float)i + x[i] * (0.5f / WORKERS));
	keeper_report(&desk.keeper, &median, &most, &accepted);
	assert_true(median == 0 && most == WORKERS && accepted == 1);
	keeper_release(&desk.keeper);
}

static void a_round_has_the_same_bits_whoever_comes_first(void **state)
{
	struct desk desks[2];
	float x[WORKERS][COUNT];

	(void)state;
	desk_open(&desks[0], constant, true, NULL);
	desk_open(&desks[1], constant, true, NULL);
	for (uint64_t round = 1; round < 20; round++) {
		for (size_t w = 0; w < WORKERS; w++)
			fill(x[w], round * WORKERS + w);
		for (size_t w = 0; w < WORKERS; w++) {
			size_t other = (w * 3 + round) % WORKERS;

			assert_int_equal(desks[0].version, (round - 1) * WORKERS);
			send(&desks[0], w, round, 0, x[w]);
			send(&desks[1], other, round, 0, x[other]);
		}
		assert_int_equal(desks[1].version, round * WORKERS);
		assert_memory_equal(desks[0].keeper.values, desks[1].keeper.values,
				    COUNT * sizeof(float));
	}
	keeper_release(&desks[0].keeper);
	keeper_release(&desks[1].keeper);
}

struct court {
	struct kardam_filter *filter;
	size_t taken[UPDATES], count, late;
};

static enum keeper_verdict judge(void *arg, size_t worker, const float *update, double own)
{
	struct kardam_update seen = { worker, fabs(update[0]), fabs(update[1]), own };
	struct court *court = arg;

	switch (kardam_filter_judge(court->filter, &seen)) {
	case KARDAM_ACCEPTED: court->taken[court->count++] = worker; return KEEPER_TAKEN;
	case KARDAM_FREQUENT: return KEEPER_WAITS;
	default: return KEEPER_REFUSED;
	}
}

static bool takes(void *arg, size_t worker, const float *update)
{
	struct court *court = arg;

	(void)update;
	if (!kardam_filter_take_late(court->filter, worker))
		return false;
	court->taken[court->count++] = worker;
	court->late++;
	return true;
}

/* Of any 2f + 1 updates taken one after the other, all are different workers', with f = 1. */
static void no_worker_comes_twice_in_three(const struct court *court)
{
	for (size_t i = 2; i < court->count; i++)
		assert_true(court->taken[i] != court->taken[i - 1] &&
			    court->taken[i] != court->taken[i - 2]);
}

/* The same updates, in the same order, some of them refused. */
static void replay(struct desk *desk, size_t f)
{
	struct kardam_params params = { .workers = WORKERS, .f = f, .window = 5, .warmup = 8 };
	struct court court = { .filter = kardam_filter_new(&params) };
	struct keeper_judge kardam = { &court, judge, takes, NULL };
	struct dampening exponential = { DAMPENING_EXPONENTIAL, 0.2 };
	uint64_t clock[WORKERS] = { 0 };
	double median, most, accepted;
	float x[COUNT];

	desk_open(desk, exponential, false, &kardam);
	for (uint64_t i = 0; i < UPDATES; i++) {
		struct draw draw = { .seed = 9, .stream = i };
		size_t w = draw_below(&draw, 0, WORKERS);

		fill(x, i);
		send(desk, w, ++clock[w], desk->version, x);
	}
	keeper_report(&desk->keeper, &median, &most, &accepted);
	assert_int_equal(desk->version, court.count);
	assert_int_equal(court.count - court.late,
			 kardam_filter_count(court.filter, KARDAM_ACCEPTED));
	assert_true(f ? accepted > 0 && accepted < 1 : accepted == 1);
	if (f)
		no_worker_comes_twice_in_three(&court);
	kardam_filter_free(court.filter);
}

static void a_log_of_updates_replayed_gives_the_same_bits(void **state)
{
	struct desk first, second;

	(void)state;
	replay(&first, 1);
	replay(&second, 1);
	assert_memory_equal(first.keeper.values, second.keeper.values, COUNT * sizeof(float));
	keeper_release(&first.keeper);
	keeper_release(&second.keeper);
}

/* Nothing is late, and nobody is thought to lie. */
static void kardam_without_cause_is_plain_descent(void **state)
{
	struct desk kardam, plain;
	uint64_t clock[WORKERS] = { 0 };
	float x[COUNT];

	(void)state;
	replay(&kardam, 0);
	desk_open(&plain, constant, false, NULL);
	for (uint64_t i = 0; i < UPDATES; i++) {
		struct draw draw = { .seed = 9, .stream = i };
		size_t w = draw_below(&draw, 0, WORKERS);

		fill(x, i);
		send(&plain, w, ++clock[w], plain.version, x);
	}
	assert_memory_equal(kardam.keeper.values, plain.keeper.values, COUNT * sizeof(float));
	keeper_release(&kardam.keeper);
	keeper_release(&plain.keeper);
}

/* The fourth is silent, and of three that come in any order each must have its turn. */
static void what_comes_before_its_turn_waits_for_it_and_is_applied_once(void **state)
{
	struct kardam_params params = {
		.workers = WORKERS, .f = 1, .window = 5, .warmup = UPDATES
	};
	struct court court = { .filter = kardam_filter_new(&params) };
	struct keeper_judge kardam = { &court, judge, takes, NULL };
	double sum = COUNT * (COUNT - 1) / 2.0, median, most, accepted;
	struct desk desk;
	float x[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		x[i] = WORKERS;
	desk_open(&desk, constant, false, &kardam);
	for (uint64_t round = 0; round < UPDATES / 3; round++) {
		struct draw draw = { .seed = 9, .stream = round };
		int order[] = { 0, 1, 2 };

		draw_shuffle(&draw, order, 3);
		for (size_t i = 0; i < 3; i++)
			send(&desk, (size_t)order[i], round + 1, desk.version, x);
	}
	no_worker_comes_twice_in_three(&court);
	assert_true(court.late > UPDATES / 10 && court.count > UPDATES * 9 / 10);
	assert_int_equal(desk.version, court.count);
	for (size_t i = 0; i < COUNT; i++)
		sum -= desk.keeper.values[i];
	assert_true(sum == -(double)(court.count * COUNT));
	keeper_report(&desk.keeper, &median, &most, &accepted);
	assert_true(accepted > 0.9);
	keeper_release(&desk.keeper);
	kardam_filter_free(court.filter);
}

/* Only one waits, and it is the newest. */
static void the_next_update_takes_the_place_of_one_that_waits(void **state)
{
	struct kardam_params params = {
		.workers = WORKERS, .f = 1, .window = 5, .warmup = UPDATES
	};
	struct court court = { .filter = kardam_filter_new(&params) };
	struct keeper_judge kardam = { &court, judge, takes, NULL };
	struct desk desk;
	float small[COUNT], large[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		small[i] = 0.5f * WORKERS;
		large[i] = WORKERS;
	}
	desk_open(&desk, constant, false, &kardam);
	for (size_t w = 0; w < 3; w++)
		send(&desk, w, 1, 0, small); /* those of 0 and 1 are too few to compare with */
	assert_int_equal(desk.version, 1);
	send(&desk, 2, 2, 1, small);
	send(&desk, 2, 3, 1, large);
	assert_int_equal(desk.version, 1);
	send(&desk, 0, 2, 1, small);
	assert_int_equal(desk.version, 2);
	send(&desk, 1, 2, 1, small);
	assert_int_equal(desk.version, 4);
	assert_true(desk.keeper.values[0] == 0.5f + 0.5f + 0.5f + 1);
	keeper_release(&desk.keeper);
	kardam_filter_free(court.filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_update_is_a_part_of_a_step_and_applied_once),
		cmocka_unit_test(an_update_after_a_gap_is_dropped),
		cmocka_unit_test(a_late_update_is_dampened_by_the_steps_that_it_missed),
		cmocka_unit_test(a_round_has_the_same_bits_whoever_comes_first),
		cmocka_unit_test(a_log_of_updates_replayed_gives_the_same_bits),
		cmocka_unit_test(kardam_without_cause_is_plain_descent),
		cmocka_unit_test(what_comes_before_its_turn_waits_for_it_and_is_applied_once),
		cmocka_unit_test(the_next_update_takes_the_place_of_one_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
