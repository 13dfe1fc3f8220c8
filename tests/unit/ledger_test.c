/* Clocks at a holder of parameters: nothing is taken twice, and nobody runs away. */
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/draw.h"
#include "lib/memory.h"
#include "runtime/sync/ledger.h"

enum { WORKERS = 5, HOLDERS = 3, STEPS = 40 };

struct desk {
	uint64_t clock[WORKERS], owed[WORKERS];
	struct ledger ledger;
	uint64_t applied[WORKERS];
};

static void desk_open(struct desk *desk, size_t bound, size_t ahead)
{
	memset(desk, 0, sizeof(*desk));
	desk->ledger = (struct ledger){ WORKERS, desk->clock, desk->owed, bound, ahead };
}

static void an_update_is_new_once(void **state)
{
	struct desk desk;

	(void)state;
	desk_open(&desk, 0, 0);
	assert_int_equal(ledger_enter(&desk.ledger, 1, 1), LEDGER_NEW);
	assert_int_equal(ledger_answer(&desk.ledger, 1), 1);
	assert_int_equal(ledger_enter(&desk.ledger, 1, 1), LEDGER_SEEN);
	assert_int_equal(ledger_enter(&desk.ledger, 1, 3), LEDGER_GAP);
	assert_int_equal(ledger_enter(&desk.ledger, 1, 2), LEDGER_NEW);
	assert_int_equal(desk.clock[1], 2);
	assert_int_equal(desk.clock[0], 0);
}

static void what_is_sent_again_is_answered_again(void **state)
{
	struct desk desk;

	(void)state;
	desk_open(&desk, 0, 0);
	ledger_enter(&desk.ledger, 2, 1);
	assert_int_equal(ledger_answer(&desk.ledger, 2), 1);
	assert_int_equal(ledger_answer(&desk.ledger, 2), 0);
	ledger_enter(&desk.ledger, 2, 1);
	assert_int_equal(ledger_answer(&desk.ledger, 2), 1);
}

static void an_answer_waits_for_the_slowest(void **state)
{
	struct desk desk;

	(void)state;
	desk_open(&desk, 2, 0);
	ledger_enter(&desk.ledger, 0, 1);
	assert_int_equal(ledger_answer(&desk.ledger, 0), 1);
	ledger_enter(&desk.ledger, 0, 2);
	assert_int_equal(ledger_answer(&desk.ledger, 0), 0);
	for (size_t w = 1; w < WORKERS; w++) {
		assert_int_equal(ledger_answer(&desk.ledger, 0), 0);
		ledger_enter(&desk.ledger, w, 1);
	}
	assert_int_equal(ledger_answer(&desk.ledger, 0), 2);
}

/* Updates and answers are under way for any time; those of one sender to one holder keep their
 * order, and now and then one comes twice. */
struct world {
	struct draw draw;
	uint64_t drawn;
	size_t ahead;
	struct desk desks[HOLDERS];
	uint64_t clock[WORKERS], answered[WORKERS][HOLDERS];
	uint64_t delivered[WORKERS][HOLDERS];
	bool stopped[WORKERS];
};

static uint64_t next(struct world *world, uint64_t bound)
{
	return draw_below(&world->draw, world->drawn++, bound);
}

static void step_of(struct world *world, size_t w)
{
	for (size_t h = 0; h < HOLDERS; h++)
		if (world->answered[w][h] + world->ahead < world->clock[w])
			return;
	if (world->clock[w] < STEPS && !world->stopped[w])
		world->clock[w]++;
}

static void deliver(struct world *world, size_t w, size_t h)
{
	struct desk *desk = &world->desks[h];
	uint64_t at = world->delivered[w][h];

	if (at > 0 && next(world, 8) == 0)
		assert_int_equal(ledger_enter(&desk->ledger, w, at), LEDGER_SEEN);
	if (at == world->clock[w])
		return;
	assert_int_equal(ledger_enter(&desk->ledger, w, at + 1), LEDGER_NEW);
	world->delivered[w][h]++;
	desk->applied[w]++;
}

static void answer(struct world *world, size_t w, size_t h)
{
	uint64_t clock = ledger_answer(&world->desks[h].ledger, w);

	if (clock > world->answered[w][h])
		world->answered[w][h] = clock;
}

static void check_apart(const struct world *world, size_t bound)
{
	for (size_t a = 0; a < WORKERS; a++)
		for (size_t b = 0; b < WORKERS; b++)
			if (world->clock[a] > world->clock[b] + bound)
				fail_msg("clocks %zu and %zu", (size_t)world->clock[a],
					 (size_t)world->clock[b]);
}

static bool is_over(const struct world *world)
{
	for (size_t w = 0; w < WORKERS; w++)
		for (size_t h = 0; h < HOLDERS; h++)
			if (world->desks[h].applied[w] != STEPS)
				return false;
	return true;
}

/* Returns how far apart clocks came. */
static void run(uint64_t seed, size_t bound, size_t ahead, uint64_t *most)
{
	struct world world = { .draw = { .seed = seed }, .ahead = ahead };

	for (size_t h = 0; h < HOLDERS; h++)
		desk_open(&world.desks[h], bound, ahead);
	for (size_t i = 0; !is_over(&world); i++) {
		size_t w = next(&world, WORKERS), h = next(&world, HOLDERS);

		/* Nobody is stopped for ever. */
		if (next(&world, 50) == 0)
			world.stopped[w] = !world.stopped[w];
		step_of(&world, w);
		deliver(&world, next(&world, WORKERS), h);
		answer(&world, next(&world, WORKERS), h);
		check_apart(&world, bound);
		for (size_t v = 0; v < WORKERS; v++)
			if (world.clock[w] > world.clock[v] + *most)
				*most = world.clock[w] - world.clock[v];
		if (i > 1000000)
			fail_msg("stuck with seed %zu", (size_t)seed);
	}
}

static void clocks_stay_together_and_nobody_waits_for_ever(void **state)
{
	(void)state;
	for (size_t ahead = 0; ahead < 2; ahead++) {
		for (size_t bound = 1 + ahead; bound < 5; bound++) {
			uint64_t most = 0;

			for (uint64_t seed = 0; seed < 20; seed++)
				run(seed, bound, ahead, &most);
			assert_int_equal(most, bound); /* and no closer than they have to */
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_update_is_new_once),
		cmocka_unit_test(what_is_sent_again_is_answered_again),
		cmocka_unit_test(an_answer_waits_for_the_slowest),
		cmocka_unit_test(clocks_stay_together_and_nobody_waits_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
