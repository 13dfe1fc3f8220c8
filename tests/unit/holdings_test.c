/* Who holds which parameters. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/error.h"
#include "lib/links.h"
#include "lib/memory.h"
#include "runtime/sync/holdings.h"
#include "runtime/sync/sync.h"

enum { RANKS = 4, COUNT = 1000 };

static const int ranks[] = { 0, 1, 2, 3 };
static const struct group world = { .ranks = ranks, .count = RANKS };
static struct opt_counts nobody;

static void check(const struct sync_env *env, const struct opt_counts *servers, const size_t *want)
{
	struct holdings holdings = { 0 };
	struct error err;

	assert_int_equal(holdings_make(&holdings, servers, env, &err), 0);
	for (size_t r = 0; r < RANKS; r++)
		assert_int_equal(holdings_count(&holdings, r), want[r]);
	assert_int_equal(holdings.bounds[0], 0);
	assert_int_equal(holdings.bounds[RANKS], env->count);
	holdings_release(&holdings);
}

static void all_ranks_hold_as_much_where_links_are_unknown(void **state)
{
	struct sync_env env = { .world = &world, .count = COUNT };

	(void)state;
	check(&env, &nobody, (size_t[]){ 250, 250, 250, 250 });
	env.count = 2;
	check(&env, &nobody, (size_t[]){ 1, 0, 1, 0 });
}

static void only_ranks_that_are_named_hold_something(void **state)
{
	size_t named[] = { 3, 1 };
	struct opt_counts servers = { named, 2 };
	struct sync_env env = { .world = &world, .count = COUNT };

	(void)state;
	check(&env, &servers, (size_t[]){ 0, 500, 0, 500 });
	servers.count = 1;
	check(&env, &servers, (size_t[]){ 0, 0, 0, 1000 });
}

/* Ranks 0 and 1 share a host, whose link is twice as fast as that of rank 2's. */
static void whoever_can_send_more_holds_more(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	static const int host_of[] = { 0, 0, 1, 2 };
	struct links links;
	struct sync_env env = {
		.world = &world, .count = COUNT, .links = &links, .host_of = host_of
	};
	size_t named[] = { 0, 2 };
	struct opt_counts servers = { named, 2 };

	(void)state;
	links_init(&links, names, 3);
	for (size_t to = 0; to < 3; to++) {
		links_pair(&links, 0, to)->bytes_per_s = 2e6;
		links_pair(&links, 1, to)->bytes_per_s = 1e6;
		links_pair(&links, 2, to)->bytes_per_s = 2e6;
	}
	check(&env, &nobody, (size_t[]){ 200, 200, 200, 400 });
	check(&env, &servers, (size_t[]){ 667, 0, 333, 0 });
	links_release(&links);
	links_init(&links, names, 3);
	check(&env, &nobody, (size_t[]){ 250, 250, 250, 250 });
	links_release(&links);
}

static void ranks_that_are_not_there_or_twice_are_refused(void **state)
{
	size_t named[] = { 2, 4 };
	struct opt_counts servers = { named, 2 };
	struct sync_env env = { .world = &world, .count = COUNT };
	struct holdings holdings = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(holdings_make(&holdings, &servers, &env, &err), -1);
	assert_string_equal(err.text, "sync.servers: no rank 4; there are 4, from 0 on");
	named[1] = 2;
	assert_int_equal(holdings_make(&holdings, &servers, &env, &err), -1);
	assert_string_equal(err.text, "sync.servers: rank 2 is there twice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_ranks_hold_as_much_where_links_are_unknown),
		cmocka_unit_test(only_ranks_that_are_named_hold_something),
		cmocka_unit_test(whoever_can_send_more_holds_more),
		cmocka_unit_test(ranks_that_are_not_there_or_twice_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
