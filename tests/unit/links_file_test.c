/* Links from files: topologies as the lab's, tables of clouds, links.json; mistakes and places. */
#include "tests/unit/unit.h"

#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/links_file.h"
#include "lib/memory.h"
#include "lib/setting.h"
#include "tests/unit/scratch.h"

static const double mbit = 1e6 / 8 * 1448 / 1514; /* bytes of payload per second */

struct outcome {
	struct links links;
	struct links_script script;
	struct problems problems;
	struct error err;
	int status;
};

static void load(struct outcome *o, const char *path, const char *rtt_path)
{
	*o = (struct outcome){ 0 };
	o->status = links_load(&o->links, &o->script, path, rtt_path, &o->problems, &o->err);
}

static struct links *must(struct outcome *o)
{
	if (o->status < 0)
		fail_msg("%s\n%s", o->err.text, buf_text(&o->problems.text));
	assert_int_equal(o->problems.count, 0);
	return &o->links;
}

static void load_text(struct outcome *o, const char *text)
{
	write_text("links", text);
	load(o, "links", NULL);
}

static void outcome_release(struct outcome *o)
{
	links_release(&o->links);
	links_script_release(&o->script);
	problems_release(&o->problems);
}

static void assert_near(double is, double should)
{
	if (!(fabs(is - should) <= 1e-9 * fabs(should)))
		fail_msg("%.12g instead of %.12g", is, should);
}

static void assert_rate(const struct links *links, const char *from, const char *to, double rate)
{
	assert_near(links_rate(links, links_find(links, from), links_find(links, to)), rate);
}

static double rtt(const struct links *links, const char *from, const char *to)
{
	return links_pair(links, links_find(links, from), links_find(links, to))->rtt_s;
}

/* Refused, with exactly these lines of problems; or with no place, and that in the error. */
static void expect(const char *text, const char *problems)
{
	struct outcome o;

	load_text(&o, text);
	assert_int_equal(o.status, -1);
	assert_int_equal(o.links.hosts, 0);
	assert_string_equal(buf_text(&o.problems.text), problems);
	outcome_release(&o);
}

static void hosts_on_one_switch_have_a_nic_each(void **state)
{
	struct outcome o;
	struct links *links;

	(void)state;
	load_text(&o, "nic: 100mbit\nhosts: 3\n");
	links = must(&o);
	assert_int_equal(links->hosts, 3);
	assert_string_equal(links->names[2], "h3");
	assert_int_equal(links->segment_count, 6);
	assert_string_equal(links->segments[1].name, "h1.down");
	assert_rate(links, "h1", "h3", 100 * mbit);
	assert_true(isnan(rtt(links, "h1", "h2"))); /* nothing said of delays */
	assert_true(isnan(links_rate(links, 0, 0)));
	outcome_release(&o);
}

static void racks_stand_in_racks_and_the_narrowest_uplink_counts(void **state)
{
	struct outcome o;
	struct links *links;

	(void)state;
	load_text(&o, "nic: 1gbit\nuplink: 500mbit\nhosts: [out]\n"
		      "racks:\n"
		      "  row1:\n    r1: h[1-2]\n    r2: [h3, gpu-box]\n"
		      "  row2: {r3: 2}\n"
		      "overrides:\n"
		      "  row1: {uplink: {up: 200mbit}}\n"
		      "  h1: {nic: {down: 10mbit}, slots: 2, home_files: {.bashrc: hello}}\n"
		      "  ctl: {nic: 10mbit}\n");
	links = must(&o);
	assert_int_equal(links->hosts, 7);
	assert_string_equal(links->names[0], "out");
	assert_string_equal(links->names[4], "gpu-box");
	assert_string_equal(links->names[6], "h7"); /* numbered on from all so far */
	assert_rate(links, "h3", "gpu-box", 1000 * mbit);
	assert_rate(links, "h3", "h2", 500 * mbit);
	assert_rate(links, "h3", "h6", 200 * mbit);
	assert_rate(links, "h6", "h3", 500 * mbit);
	assert_rate(links, "out", "h1", 10 * mbit);
	assert_int_equal(o.script.count, 0);
	assert_int_equal(o.script.slots[1], 2);
	assert_int_equal(o.script.slots[0], 1);
	outcome_release(&o);
}

static void a_round_trip_passes_each_link_twice(void **state)
{
	struct outcome o;
	struct links *links;

	(void)state;
	load_text(&o, "delay: 0.25ms\nracks: {r1: 2, r2: 2}\n"
		      "overrides: {r2: {delay: 10ms}, h4: {delay: 1ms}}\n");
	links = must(&o);
	assert_near(rtt(links, "h1", "h2"), 1e-3);
	assert_near(rtt(links, "h1", "h3"), 21e-3);
	assert_near(rtt(links, "h4", "h1"), 22.5e-3);
	assert_near(rtt(links, "h3", "h4"), 2.5e-3);
	assert_int_equal(links->segment_count, 0);
	outcome_release(&o);
}

static void changes_are_in_order_of_time(void **state)
{
	struct outcome o;
	struct links *links;

	(void)state;
	load_text(&o, "nic: 100mbit\nracks: {r1: 2, r2: 2}\n"
		      "changes:\n"
		      "  - {at: 4s, link: h1, rate: none}\n"
		      "  - {at: 500ms, link: r1.up, rate: 25mbit}\n"
		      "repeat: 8s\n");
	links = must(&o);
	assert_true(o.script.repeat_s == 8);
	assert_int_equal(o.script.count, 3);
	assert_true(o.script.events[0].at_s == 0.5);
	assert_string_equal(links->segments[o.script.events[0].segment].name, "r1.up");
	assert_near(o.script.events[0].bytes_per_s, 25 * mbit);
	assert_string_equal(links->segments[o.script.events[1].segment].name, "h1.up");
	assert_string_equal(links->segments[o.script.events[2].segment].name, "h1.down");
	assert_true(isnan(o.script.events[2].bytes_per_s));
	/* Until it changes, that uplink is as fast as there is. */
	assert_rate(links, "h1", "h3", 100 * mbit);
	outcome_release(&o);
}

static void every_mistake_of_a_topology_has_its_place(void **state)
{
	(void)state;
	expect("nic: 1gbit\n", "links: no hosts in it; write 'hosts: 4', or 'racks:' with hosts in "
			       "them\n");
	expect("hosts: 2\nrakcs: {}\n", "links:2:1: unknown key 'rakcs'; did you mean 'racks'?\n");
	expect("hosts: 2\nnic: fast\n",
	       "links:2:6: 'fast' is not a rate such as 100mbit, 1gbit or none\n");
	expect("hosts: 2\nnic: {upp: 1gbit}\n",
	       "links:2:7: unknown key 'upp'; did you mean 'up'?\n");
	expect("hosts: [Big_Box]\n",
	       "links:1:8: 'Big_Box' is not a name (a-z, 0-9 and -, at most 10 characters)\n");
	expect("racks:\n  r1: h[1-2]\n  r2: h[2-3]\n", "links:3:7: the name 'h2' is taken\n");
	expect("hosts: 2\noverrides: {h9: {nic: 1gbit}, h1: {uplink: 1gbit}}\n",
	       "links:2:13: no host or rack 'h9'\nlinks:2:36: unknown key 'uplink'\n");
	expect("hosts: 2\ndelay: soon\n", "links:2:8: 'soon' is not a time such as 2s or 5m\n");
	expect("hosts: 5000\n", "links:1:8: more than 4096 hosts\n");
	expect("hosts: h[1-99999999999]\n", "links:1:8: more than 4096 hosts\n");
	expect("hosts: {a: 1}\n",
	       "links:1:8: 'hosts' needs a count, a range such as h[1-4], or a list of names\n");
	expect("racks: 4\n", "links:1:8: 'racks' needs a name for each, such as 'r1: h[1-4]'\n");
	expect("hosts: 1\nchanges: 4\n",
	       "links:2:10: 'changes' is a list of {at: TIME, link: NAME, rate: RATE}\n");
	expect("hosts: 1\nchanges:\n  - {at: 1s, link: h2.up}\n",
	       "links:3:5: a change is {at: TIME, link: NAME, rate: RATE}; 'rate' is missing\n");
	expect("hosts: 1\nrepeat: 2s\nchanges:\n  - {at: 2s, link: h1.left, rate: 1mbit}\n",
	       "links:4:20: 'h1.left' is not a host or rack, nor one with .up or .down behind it\n"
	       "links:4:10: is not before 'repeat'\n");
	expect("hosts: 1\n  nic: 1gbit\n", "links:2:6: unexpected ':'; indent the key as its "
					   "neighbours, or quote the text\n");
}

static void every_topology_of_the_lab_can_be_read(void **state)
{
	const char *root = *state;
	char *pattern = xasprintf("%s/tests/lab/topologies/*.yaml", root);
	struct outcome o;
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_true(found.gl_pathc > 5);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		load(&o, found.gl_pathv[i], NULL);
		assert_true(must(&o)->hosts >= 2);
		outcome_release(&o);
	}
	globfree(&found);
	free(pattern);
}

static const char matrix[] = "from\\to,a:1,b:2,c:3\r\n"
			     "a:1,,2.5,1\r\n"
			     "b:2,0.5,,\r\n"
			     "c:3,1,4,9\r\n";

static void a_matrix_is_read_row_by_row(void **state)
{
	struct outcome o;
	struct links *links;

	(void)state;
	load_text(&o, matrix);
	links = must(&o);
	assert_int_equal(links->hosts, 3);
	assert_string_equal(links->names[1], "b:2");
	assert_rate(links, "a:1", "b:2", 2.5e9 / 8);
	assert_rate(links, "b:2", "a:1", 0.5e9 / 8);
	assert_true(isnan(links_pair(links, 1, 2)->bytes_per_s)); /* an empty cell */
	assert_true(isnan(links_pair(links, 2, 2)->bytes_per_s)); /* nobody to himself */
	assert_true(isnan(rtt(links, "a:1", "b:2")));
	outcome_release(&o);
}

static void round_trips_beside_a_matrix_are_found_by_name(void **state)
{
	struct outcome o;
	struct links *links;

	(void)state;
	write_text("rates", matrix);
	write_text("rtts", "from\\to,c:3,d:4,a:1\nc:3,,1,30\nd:4,1,,2\na:1,40.5,2,\n");
	load(&o, "rates", "rtts");
	links = must(&o);
	assert_int_equal(links->hosts, 3); /* those of the rates alone */
	assert_near(rtt(links, "c:3", "a:1"), 0.030);
	assert_near(rtt(links, "a:1", "c:3"), 0.0405);
	assert_true(isnan(rtt(links, "a:1", "b:2")));
	assert_rate(links, "a:1", "b:2", 2.5e9 / 8);
	outcome_release(&o);
}

static void rows_of_pairs_hold_both_ways(void **state)
{
	struct outcome o;
	struct links *links;

	(void)state;
	load_text(&o, "region_a,region_b,delay_ms,bandwidth_gbps\n"
		      "Oregon,Virginia,67,0.79\nVirginia,Ohio,11,1.12\n");
	links = must(&o);
	assert_int_equal(links->hosts, 3);
	assert_rate(links, "Virginia", "Oregon", 0.79e9 / 8);
	assert_near(rtt(links, "Oregon", "Virginia"), 0.067);
	assert_true(isnan(rtt(links, "Oregon", "Ohio")));
	outcome_release(&o);
}

static void every_mistake_of_a_table_has_its_place(void **state)
{
	struct outcome o;

	(void)state;
	expect("x,a,a\n", "links:1:5: the name 'a' is empty or there twice\n");
	expect("x,a,b\na,,fast\nb,-1\nc,1,2\n", "links:4:1: 'c' is not in the first line\n"
						"links:2:4: 'fast' is not a number above 0\n"
						"links:3:3: 2 cells; the first line has 3\n");
	expect("x,a,b\na,,0\n", "links:2:4: '0' is not a number above 0\n");
	expect("region_a,region_b,delay_ms,bandwidth_gbps\nA,A,1,2\nA,B,1\n",
	       "links:2:3: not another region, or more than 4096\n"
	       "links:3:1: not two regions, a delay and a bandwidth\n");
	expect("region_a,region_b,delay_ms,bandwidth_gbps\n", "links: no hosts in it\n");
	load_text(&o, "region_a,region_b,delay_ms,bandwidth_gbps\nA,\xa0,1,2\n");
	assert_int_equal(o.status, -1);
	assert_string_equal(o.err.text, "links: the name of host 2 is not UTF-8");
	outcome_release(&o);
	write_text("rates", matrix);
	load(&o, "rates", "rates.missing");
	assert_int_equal(o.status, -1);
	assert_non_null(strstr(o.err.text, "rates.missing"));
	outcome_release(&o);
	write_text("rtts", "x,a:1\na:1,-3\n");
	load(&o, "rates", "rtts");
	assert_string_equal(buf_text(&o.problems.text), "rtts:2:5: '-3' is not a number above 0\n");
	outcome_release(&o);
	write_text("tree", "hosts: 2\n");
	load(&o, "tree", "rates");
	assert_string_equal(o.err.text, "'rates' is for a matrix of rates, which 'tree' is not");
	outcome_release(&o);
}

static void links_json_is_read_and_its_mistakes_name_the_file(void **state)
{
	struct outcome o;
	struct buf text = { 0 };

	(void)state;
	load_text(&o, "nic: 10mbit\nhosts: 2\n");
	links_print(must(&o), &text);
	outcome_release(&o);
	load_text(&o, buf_text(&text));
	assert_rate(must(&o), "h1", "h2", 10 * mbit);
	outcome_release(&o);
	load_text(&o, "{\"hosts\": []}");
	assert_int_equal(o.status, -1);
	assert_string_equal(o.err.text, "links: 'hosts' is not a list of 1 to 4096 names");
	buf_release(&text);
	load(&o, "nothing-here", NULL);
	assert_non_null(strstr(o.err.text, "nothing-here"));
}

static char root[4096];

static int begin(void **state)
{
	*state = root;
	return getcwd(root, sizeof(root)) ? scratch_make(state) : -1;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_on_one_switch_have_a_nic_each),
		cmocka_unit_test(racks_stand_in_racks_and_the_narrowest_uplink_counts),
		cmocka_unit_test(a_round_trip_passes_each_link_twice),
		cmocka_unit_test(changes_are_in_order_of_time),
		cmocka_unit_test(every_mistake_of_a_topology_has_its_place),
		cmocka_unit_test(every_topology_of_the_lab_can_be_read),
		cmocka_unit_test(a_matrix_is_read_row_by_row),
		cmocka_unit_test(round_trips_beside_a_matrix_are_found_by_name),
		cmocka_unit_test(rows_of_pairs_hold_both_ways),
		cmocka_unit_test(every_mistake_of_a_table_has_its_place),
		cmocka_unit_test(links_json_is_read_and_its_mistakes_name_the_file),
	};

	return cmocka_run_group_tests(tests, begin, scratch_remove);
}
