/* What workers are told of a plan, there and back, and what they refuse. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/json.h"
#include "lib/roster.h"
#include "lib/memory.h"

enum { HOSTS = 2, WORLD = 3 };

static void make(struct roster *roster)
{
	static const char *const names[HOSTS] = { "a", "b" };
	static const int order[WORLD] = { 0, 2, 1 };

	*roster = (struct roster){ .world = WORLD };
	links_init(&roster->links, names, HOSTS);
	links_pair(&roster->links, 0, 1)->bytes_per_s = 12.5e6;
	roster->host_of = xcalloc(WORLD, sizeof(int));
	roster->host_of[2] = 1;
	roster->plan = (struct plan){ .kind = PLAN_RING,
				      .name = xstrdup("ring, best order"),
				      .bottleneck = xstrdup("a.up"),
				      .schedule = schedule_flat(WORLD, order),
				      .step_s = 0.25,
				      .exact_after = 1,
				      .contraction_per_s = INFINITY };
}

static char *print(const struct roster *roster)
{
	struct buf text = { 0 };

	roster_print(roster, &text);
	return buf_take(&text);
}

static void a_roster_comes_back_as_it_was(void **state)
{
	struct roster roster, back;
	struct error err;
	char *text;

	(void)state;
	make(&roster);
	text = print(&roster);
	assert_int_equal(roster_parse(&back, text, WORLD, &err), 0);
	assert_int_equal(back.world, WORLD);
	assert_int_equal(back.plan.kind, PLAN_RING);
	assert_true(back.plan.step_s == 0.25);
	assert_memory_equal(back.plan.schedule.phase[0].ranks, roster.plan.schedule.phase[0].ranks,
			    WORLD * sizeof(int));
	assert_memory_equal(back.host_of, roster.host_of, WORLD * sizeof(int));
	assert_true(links_rate(&back.links, 0, 1) == 12.5e6);
	assert_string_equal(back.links.names[1], "b");
	free(text);
	roster_release(&roster);
	roster_release(&back);
}

static void refused(const char *text, int world, const char *why)
{
	struct roster out;
	struct error err;

	assert_int_equal(roster_parse(&out, text, world, &err), -1);
	assert_non_null(strstr(err.text, "the plan cannot be used: "));
	if (!strstr(err.text, why))
		fail_msg("'%s' instead of '%s'", err.text, why);
	assert_int_equal(out.world, 0);
	assert_null(out.host_of);
}

/* `from`, which stands in it, becomes `to`. */
static void refused_with(const char *from, const char *to, const char *why)
{
	struct roster roster;
	char *text, *at, *changed;

	make(&roster);
	text = print(&roster);
	at = strstr(text, from);
	assert_non_null(at);
	changed = xasprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	refused(changed, WORLD, why);
	free(changed);
	free(text);
	roster_release(&roster);
}

static void what_is_no_roster_of_this_world_is_refused(void **state)
{
	struct roster roster;
	char *text;

	(void)state;
	refused("", WORLD, "");
	refused("{}", WORLD, "it has no plan");
	refused_with("\"host_of\":[0,0,1]", "\"host_of\":[0,0,2]", "no host for rank 2");
	refused_with("\"host_of\":[0,0,1]", "\"host_of\":[0,0]", "on which host each of 3 ranks");
	refused_with("\"links\"", "\"left\"", "it has no links");
	make(&roster);
	text = print(&roster);
	refused(text, 4, "it is for 3 ranks, not for 4");
	free(text);
	roster_release(&roster);
}

static void ranks_are_numbered_host_by_host(void **state)
{
	struct host entries[] = { { .slots = 2 }, { .slots = 1 }, { .slots = 3 } };
	struct hosts hosts = { .entries = entries, .count = 3 };
	static const int want[] = { 0, 0, 1, 2, 2, 2 };
	int *host_of = roster_host_of(&hosts);

	(void)state;
	assert_memory_equal(host_of, want, sizeof(want));
	free(host_of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_roster_comes_back_as_it_was),
		cmocka_unit_test(what_is_no_roster_of_this_world_is_refused),
		cmocka_unit_test(ranks_are_numbered_host_by_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
