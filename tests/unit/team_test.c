/* Teams: every chunk once, nothing left over, the same sums whoever adds them. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/memory.h"
#include "runtime/device/team.h"

enum { MOST_CHUNKS = 100, ROUNDS = 300 };

/* What the chunks of one call leave behind. */
struct tally {
	size_t threads;
	size_t calls[MOST_CHUNKS];
	atomic_bool busy[16]; /* by member */
	atomic_int wrong;
};

static void count_chunk(void *arg, size_t chunk, size_t member)
{
	struct tally *tally = arg;

	if (member >= tally->threads || atomic_exchange(&tally->busy[member], true))
		atomic_fetch_add(&tally->wrong, 1);
	tally->calls[chunk]++;
	atomic_store(&tally->busy[member], false);
}

static void check_rounds(struct team *team, size_t rounds)
{
	struct tally tally = { .threads = team_threads(team) };
	size_t wanted[MOST_CHUNKS] = { 0 };

	for (size_t round = 0; round < rounds; round++) {
		size_t chunks = round * 7 % MOST_CHUNKS;

		team_run(team, chunks, count_chunk, &tally);
		for (size_t i = 0; i < chunks; i++)
			wanted[i]++;
		assert_memory_equal(tally.calls, wanted, sizeof(wanted));
	}
	assert_int_equal(tally.wrong, 0);
}

static void every_chunk_is_done_once(void **state)
{
	(void)state;
	check_rounds(NULL, ROUNDS);
	for (size_t threads = 1; threads <= 9; threads++) {
		struct team *team = team_new(threads);

		assert_int_equal(team_threads(team), threads);
		check_rounds(team, ROUNDS);
		team_free(team);
	}
}

static void a_team_ends_without_ever_having_worked(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++)
		team_free(team_new(4));
	team_free(NULL);
}

static void *own_team(void *unused)
{
	struct team *team = team_new(3);

	check_rounds(team, ROUNDS);
	team_free(team);
	return unused;
}

static void teams_work_side_by_side(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, own_team, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

/* Each chunk waits for all others: they need as many members at work at the same time. */

static void meet(void *arg, size_t chunk, size_t member)
{
	pthread_barrier_t *meeting = arg;

	(void)chunk;
	(void)member;
	pthread_barrier_wait(meeting);
}

static void members_run_at_the_same_time_also_after_they_slept(void **state)
{
	struct team *team = team_new(3);
	pthread_barrier_t meeting;

	(void)state;
	pthread_barrier_init(&meeting, NULL, 3);
	for (int round = 0; round < 20; round++) {
		team_run(team, 3, meet, &meeting);
		if (round % 2)
			clock_sleep(2e-3); /* longer than members look for work */
	}
	pthread_barrier_destroy(&meeting);
	team_free(team);
}

struct addends {
	const float *x;
	float sums[MOST_CHUNKS];
	struct team *team;
};

static void add_chunk(void *arg, size_t chunk, size_t member)
{
	struct addends *addends = arg;
	float *own = addends->team ? team_workspace(addends->team, member) : NULL;
	float sum = 0;

	for (size_t i = 0; i < 1000; i++)
		sum += addends->x[chunk * 1000 + i];
	if (own)
		memset(own, (int)member, 4096);
	addends->sums[chunk] = sum;
}

static void sums_do_not_depend_on_the_number_of_threads(void **state)
{
	float *x = xaligned(MOST_CHUNKS * 1000 * sizeof(*x));
	struct addends alone = { .x = x };

	(void)state;
	for (size_t i = 0; i < (size_t)MOST_CHUNKS * 1000; i++)
		x[i] = 1.0f / (float)(i + 1);
	team_run(NULL, MOST_CHUNKS, add_chunk, &alone);
	for (size_t threads = 1; threads <= 4; threads++) {
		struct addends addends = { .x = x, .team = team_new(threads) };

		team_reserve(addends.team, 4096);
		for (int round = 0; round < 20; round++) {
			memset(addends.sums, 0, sizeof(addends.sums));
			team_run(addends.team, MOST_CHUNKS, add_chunk, &addends);
			assert_memory_equal(addends.sums, alone.sums, sizeof(alone.sums));
		}
		team_free(addends.team);
	}
	free(x);
}

static void workspaces_grow_and_are_aligned(void **state)
{
	struct team *team = team_new(3);

	(void)state;
	for (size_t bytes = 1; bytes < 1 << 16; bytes *= 5) {
		team_reserve(team, bytes);
		for (size_t i = 0; i < 3; i++) {
			assert_int_equal((uintptr_t)team_workspace(team, i) % 64, 0);
			memset(team_workspace(team, i), 1, bytes);
		}
	}
	team_free(team);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_chunk_is_done_once),
		cmocka_unit_test(a_team_ends_without_ever_having_worked),
		cmocka_unit_test(teams_work_side_by_side),
		cmocka_unit_test(members_run_at_the_same_time_also_after_they_slept),
		cmocka_unit_test(sums_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(workspaces_grow_and_are_aligned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
