/* The address that peers are told: what was asked for, and never one they cannot reach. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/address.h"

static void assert_picked(struct address_hints hints, const char *wanted)
{
	struct error err = { "" };
	char *picked = address_pick(&hints, &err);

	if (!picked)
		fail_msg("%s", err.text);
	assert_string_equal(picked, wanted);
	free(picked);
}

static void assert_refused(struct address_hints hints, const char *reason)
{
	struct error err = { "" };

	assert_null(address_pick(&hints, &err));
	if (!strstr(err.text, reason))
		fail_msg("'%s' does not say '%s'", err.text, reason);
}

static void the_exact_address_comes_first(void **state)
{
	(void)state;
	assert_picked((struct address_hints){ "192.0.2.1", "10.0.0.0/8", "192.0.2.9", true },
		      "192.0.2.1");
	assert_picked((struct address_hints){ "2001:db8::1", "", "", false }, "2001:db8::1");
}

static void a_network_picks_the_address_within_it(void **state)
{
	(void)state;
	assert_picked((struct address_hints){ "", "127.0.0.0/8", "192.0.2.9", true }, "127.0.0.1");
	assert_picked((struct address_hints){ "", "127.0.0.1/32", "", true }, "127.0.0.1");
	assert_refused((struct address_hints){ "", "127.0.0.2/32", "", true },
		       "no address within network '127.0.0.2/32'; this host has 127.0.0.1");
	assert_refused((struct address_hints){ "", "203.0.113.0/24", "192.0.2.9", true },
		       "no address within network '203.0.113.0/24'");
}

static void one_family_is_not_taken_for_the_other(void **state)
{
	(void)state;
	assert_picked((struct address_hints){ "", "0.0.0.0/0", "", true }, "127.0.0.1");
	assert_refused((struct address_hints){ "", "2001:db8::/32", "", true },
		       "no address within network '2001:db8::/32'");
}

static void what_is_no_network_is_refused(void **state)
{
	static const char *const wrong[] = { "10.0.0.0",      "10.0.0.0/33",  "10.0.0/24",
					     "10.0.0.0/",     "10.0.0.0/24x", "::/129",
					     "eth0",	      "10.0.0.0/-1",  "/24",
					     "1.2.3.4/24/24", "300.0.0.0/8" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_refused((struct address_hints){ "", wrong[i], "", true },
			       "is not of the form 10.0.0.0/24");
}

static void loopback_is_for_one_machine_only(void **state)
{
	static const char *const loops[] = { "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1",
					     "0:0:0:0:0:0:0:1" };

	(void)state;
	assert_picked((struct address_hints){ "", "", "", true }, "127.0.0.1");
	assert_picked((struct address_hints){ "", "", "192.0.2.9", true }, "127.0.0.1");
	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		assert_picked((struct address_hints){ loops[i], "", "", true }, loops[i]);
		assert_refused((struct address_hints){ loops[i], "", "", false },
			       "is a loopback address");
		assert_refused((struct address_hints){ "", "", loops[i], false },
			       "is a loopback address");
	}
	assert_refused((struct address_hints){ "", "127.0.0.0/8", "", false },
		       "is a loopback address");
}

static void nothing_known_is_said_with_the_way_out(void **state)
{
	(void)state;
	assert_refused((struct address_hints){ "", "", "", false }, "network:");
	assert_picked((struct address_hints){ "", "", "192.0.2.9", false }, "192.0.2.9");
}

static void assert_reached_by(const char *connection, const char *wanted)
{
	char *address;

	if (connection)
		setenv("SSH_CONNECTION", connection, 1);
	else
		unsetenv("SSH_CONNECTION");
	address = address_reached_by();
	assert_string_equal(address, wanted);
	free(address);
}

static void the_address_by_which_ssh_came_is_the_third_word(void **state)
{
	(void)state;
	assert_reached_by("198.51.100.7 50000 10.0.0.3 22", "10.0.0.3");
	assert_reached_by("fe80::1 50000 fd00::3 22", "fd00::3");
	assert_reached_by("198.51.100.7 50000", "");
	assert_reached_by("", "");
	assert_reached_by(NULL, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exact_address_comes_first),
		cmocka_unit_test(a_network_picks_the_address_within_it),
		cmocka_unit_test(one_family_is_not_taken_for_the_other),
		cmocka_unit_test(what_is_no_network_is_refused),
		cmocka_unit_test(loopback_is_for_one_machine_only),
		cmocka_unit_test(nothing_known_is_said_with_the_way_out),
		cmocka_unit_test(the_address_by_which_ssh_came_is_the_third_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
