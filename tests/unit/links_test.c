/* Links: rates of a way, a choice of hosts, links.json and back, what changed. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/links.h"
#include "lib/memory.h"

static const char *const names[] = { "a", "b", "c", "d" };

/* Two racks {a, b} and {c, d}; a's NIC is known, and a few pairs. */
static struct links two_racks(void)
{
	struct link_segment *segment;
	struct links links;

	links_init(&links, names, 4);
	segment = links_add_segment(&links, "rack1.up", 50e6);
	segment->from[0] = segment->from[1] = true;
	segment->to[2] = segment->to[3] = true;
	segment = links_add_segment(&links, "a.up", 100e6);
	segment->from[0] = true;
	memset(segment->to, true, 4);
	*links_pair(&links, 0, 1) = (struct link_pair){ 2e-4, 1e-4, 90e6, 0.01 };
	*links_pair(&links, 3, 2) = (struct link_pair){ NAN, NAN, 80e6, NAN };
	return links;
}

static void a_way_is_as_fast_as_its_slowest_part(void **state)
{
	struct links links = two_racks();

	(void)state;
	assert_true(links_rate(&links, 0, 1) == 90e6); /* its own, below a.up */
	assert_true(links_rate(&links, 0, 2) == 50e6); /* the uplink */
	links.segments[0].bytes_per_s = 200e6;
	assert_true(links_rate(&links, 0, 2) == 100e6); /* now a.up */
	assert_true(isnan(links_rate(&links, 2, 0)));	/* nothing that way */
	assert_true(isnan(links_rate(&links, 0, 0)));	/* within a host */
	assert_int_equal(links_slowest(&links, 0), 1);	/* 90 of 200 */
	assert_int_equal(links_slowest(&links, 2), 4);	/* nothing is known */
	links_release(&links);
}

static void a_segment_is_crossed_one_way_and_not_within_a_host(void **state)
{
	struct links links = two_racks();

	(void)state;
	assert_true(link_crosses(&links.segments[0], 1, 2));
	assert_false(link_crosses(&links.segments[0], 2, 1));
	assert_false(link_crosses(&links.segments[0], 0, 1));
	assert_true(link_crosses(&links.segments[1], 0, 3));
	assert_false(link_crosses(&links.segments[1], 0, 0));
	links_release(&links);
}

static void a_copy_shares_nothing(void **state)
{
	struct links links = two_racks(), copy;

	(void)state;
	links.compute_s = xcalloc(4, sizeof(double));
	links.compute_s[2] = 0.5;
	links_copy(&copy, &links);
	links_release(&links);
	assert_int_equal(copy.hosts, 4);
	assert_string_equal(copy.segments[1].name, "a.up");
	assert_true(copy.segments[1].to[3]);
	assert_true(copy.compute_s[2] == 0.5);
	assert_true(links_rate(&copy, 0, 2) == 50e6);
	links_release(&copy);
}

static void chosen_hosts_are_renumbered(void **state)
{
	static const char *const chosen[] = { "d", "c", "a" };
	struct links links = two_racks(), out;
	struct error err;

	(void)state;
	assert_int_equal(links_select(&out, &links, chosen, 3, &err), 0);
	assert_int_equal(out.hosts, 3);
	assert_string_equal(out.names[2], "a");
	assert_true(links_pair(&out, 0, 1)->bytes_per_s == 80e6);
	assert_true(links_rate(&out, 2, 0) == 50e6);
	assert_true(isnan(links_rate(&out, 1, 0)));
	links_release(&out);
	links_release(&links);
}

static void segments_that_no_chosen_host_crosses_are_left_out(void **state)
{
	static const char *const chosen[] = { "b", "a" };
	struct links links = two_racks(), out;
	struct error err;

	(void)state;
	assert_int_equal(links_select(&out, &links, chosen, 2, &err), 0);
	assert_int_equal(out.segment_count, 1);
	assert_string_equal(out.segments[0].name, "a.up");
	links_release(&out);
	links_release(&links);
}

static void a_host_that_is_not_there_is_named(void **state)
{
	static const char *const chosen[] = { "a", "x9" };
	struct links links = two_racks(), out;
	struct error err;

	(void)state;
	assert_int_equal(links_select(&out, &links, chosen, 2, &err), -1);
	assert_non_null(strstr(err.text, "'x9'"));
	links_release(&links);
}

static bool same(double a, double b)
{
	return (isnan(a) && isnan(b)) || a == b;
}

static void assert_same(const struct links *a, const struct links *b)
{
	assert_int_equal(a->hosts, b->hosts);
	assert_int_equal(a->segment_count, b->segment_count);
	for (size_t i = 0; i < a->hosts * a->hosts; i++) {
		assert_true(same(a->pairs[i].rtt_s, b->pairs[i].rtt_s));
		assert_true(same(a->pairs[i].rtt_min_s, b->pairs[i].rtt_min_s));
		assert_true(same(a->pairs[i].bytes_per_s, b->pairs[i].bytes_per_s));
		assert_true(same(a->pairs[i].spread, b->pairs[i].spread));
	}
	for (size_t i = 0; i < a->segment_count; i++) {
		assert_string_equal(a->segments[i].name, b->segments[i].name);
		assert_true(same(a->segments[i].bytes_per_s, b->segments[i].bytes_per_s));
		assert_memory_equal(a->segments[i].from, b->segments[i].from, a->hosts);
		assert_memory_equal(a->segments[i].to, b->segments[i].to, a->hosts);
	}
	assert_int_equal(!a->compute_s, !b->compute_s);
	for (size_t i = 0; a->compute_s && i < a->hosts; i++)
		assert_true(same(a->compute_s[i], b->compute_s[i]));
}

static void what_is_printed_reads_back_the_same(void **state)
{
	struct links links = two_racks(), back;
	struct link_segment *segment = links_add_segment(&links, "switch", 1.0 / 3);
	struct buf text = { 0 };
	struct error err;

	(void)state;
	memset(segment->from, true, 4);
	memset(segment->to, true, 4);
	segment = links_add_segment(&links, "b.down", NAN); /* from all others to b */
	memset(segment->from, true, 4);
	segment->from[1] = false;
	segment->to[1] = true;
	links_add_segment(&links, "nobody's", 5);
	links.compute_s = xcalloc(4, sizeof(double));
	links.compute_s[1] = NAN;
	links_print(&links, &text);
	assert_non_null(strstr(text.data, "\"from\": \"others\""));
	assert_int_equal(links_parse(&back, text.data, text.length, &err), 0);
	assert_same(&links, &back);
	buf_release(&text);
	links_release(&back);
	links_release(&links);
}

/* Text that is refused, and a part of the reason. */
static void refused(const char *text, const char *reason)
{
	struct links out = { 0 };
	struct error err = { "" };

	assert_int_equal(links_parse(&out, text, strlen(text), &err), -1);
	if (!strstr(err.text, reason))
		fail_msg("'%s' does not say '%s'", err.text, reason);
	assert_int_equal(out.hosts, 0);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	(void)state;
	refused("{", "line 1");
	refused("[]", "'hosts' is not a list");
	refused("{\"hosts\": [\"a\", 3]}", "item 2 is not a name");
	refused("{\"hosts\": [\"a\", \"a\"]}", "'a' is there twice");
	refused("{\"hosts\": [\"a\", \"b\"], \"rtt_s\": [[0, 1]]}", "a row for each of the 2");
	refused("{\"hosts\": [\"a\", \"b\"], \"rtt_s\": [[0, 1], [0]]}", "'rtt_s', row 2");
	refused("{\"hosts\": [\"a\", \"b\"], \"rtt_s\": [[0, 1], [-1, null]]}",
		"'rtt_s', row 2, column 1");
	refused("{\"hosts\": [\"a\"], \"bytes_per_s\": [[0]]}", "not a number above 0");
	refused("{\"hosts\": [\"a\"], \"segments\": [{}]}", "segment 1: it has no name");
	refused("{\"hosts\": [\"a\"], \"segments\": [{\"name\": \"s\", \"bytes_per_s\": 1, "
		"\"from\": [\"b\"], \"to\": \"all\"}]}",
		"'s': from: no host 'b'");
	refused("{\"hosts\": [\"a\"], \"segments\": [{\"name\": \"s\", \"bytes_per_s\": 1, "
		"\"from\": \"others\", \"to\": \"others\"}]}",
		"only one side");
	refused("{\"hosts\": [\"a\"], \"segments\": [{\"name\": \"s\", \"bytes_per_s\": 1, "
		"\"from\": \"all\"}]}",
		"'s': to");
	refused("{\"hosts\": [\"a\"], \"compute_s\": [1, 2]}", "'compute_s'");
}

static void changes_come_greatest_first(void **state)
{
	struct links before = two_racks(), after = two_racks();
	struct links_change *changes;
	size_t count;

	(void)state;
	links_pair(&after, 0, 1)->bytes_per_s = 95e6; /* within a tenth */
	links_pair(&after, 3, 2)->bytes_per_s = 40e6;
	after.segments[1].bytes_per_s = 25e6;
	links_add_segment(&after, "new", 1e6);
	changes = links_compare(&before, &after, 0.1, &count);
	assert_int_equal(count, 3);
	assert_string_equal(changes[0].segment, "new");
	assert_true(isnan(changes[0].before) && changes[0].after == 1e6);
	assert_string_equal(changes[1].segment, "a.up");
	assert_null(changes[2].segment);
	assert_int_equal(changes[2].from, 3);
	assert_int_equal(changes[2].to, 2);
	assert_true(changes[2].before == 80e6 && changes[2].after == 40e6);
	free(changes);
	links_release(&before);
	links_release(&after);
}

static void hosts_are_compared_by_name(void **state)
{
	static const char *const reversed[] = { "d", "c", "b", "a" };
	struct links before = two_racks(), after;
	struct links_change *changes;
	struct error err;
	size_t count;

	(void)state;
	assert_int_equal(links_select(&after, &before, reversed, 4, &err), 0);
	changes = links_compare(&before, &after, 0.1, &count);
	assert_int_equal(count, 0);
	free(changes);
	links_pair(&after, 0, 1)->bytes_per_s = NAN; /* d to c */
	changes = links_compare(&before, &after, 0.1, &count);
	assert_int_equal(count, 1);
	assert_int_equal(changes[0].from, 0);
	assert_int_equal(changes[0].to, 1);
	assert_true(changes[0].before == 80e6 && isnan(changes[0].after));
	free(changes);
	links_release(&before);
	links_release(&after);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_way_is_as_fast_as_its_slowest_part),
		cmocka_unit_test(a_segment_is_crossed_one_way_and_not_within_a_host),
		cmocka_unit_test(a_copy_shares_nothing),
		cmocka_unit_test(chosen_hosts_are_renumbered),
		cmocka_unit_test(segments_that_no_chosen_host_crosses_are_left_out),
		cmocka_unit_test(a_host_that_is_not_there_is_named),
		cmocka_unit_test(what_is_printed_reads_back_the_same),
		cmocka_unit_test(what_is_wrong_is_said_with_its_place),
		cmocka_unit_test(changes_come_greatest_first),
		cmocka_unit_test(hosts_are_compared_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
