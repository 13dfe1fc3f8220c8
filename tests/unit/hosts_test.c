/* Hosts from YAML, MPI files and inline forms; every mistake with its place; printing loads back.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/setting.h"
#include "tests/unit/scratch.h"

struct outcome {
	struct hosts hosts;
	struct problems problems;
	struct error err;
	int status;
};

static void load(struct outcome *o, const char *spec)
{
	*o = (struct outcome){ 0 };
	o->status = hosts_load(&o->hosts, spec, &o->problems, &o->err);
	if (o->status == 0)
		assert_string_equal(buf_text(&o->problems.text), "");
}

static void load_text(struct outcome *o, const char *name, const char *text)
{
	write_text(name, text);
	load(o, name);
}

static const struct host *must(const struct outcome *o, size_t count)
{
	if (o->status < 0)
		fail_msg("%s\n%s", o->err.text, buf_text(&o->problems.text));
	assert_int_equal(o->hosts.count, count);
	return o->hosts.entries;
}

static void outcome_release(struct outcome *o)
{
	hosts_release(&o->hosts);
	problems_release(&o->problems);
}

static void expect(const char *text, const char *problems)
{
	struct outcome o;

	load_text(&o, "bad.yaml", text);
	assert_int_equal(o.status, -1);
	assert_string_equal(buf_text(&o.problems.text), problems);
	assert_non_null(strstr(o.err.text, "'bad.yaml' has"));
	outcome_release(&o);
}

static void expect_error(const char *spec, const char *text)
{
	struct outcome o;

	load(&o, spec);
	assert_int_equal(o.status, -1);
	assert_string_equal(o.err.text, text);
	outcome_release(&o);
}

static void local_is_this_machine(void **state)
{
	struct outcome o;

	(void)state;
	load(&o, "local:3");
	assert_true(must(&o, 1)->local);
	assert_int_equal(hosts_slots(&o.hosts), 3);
	outcome_release(&o);
	load(&o, "local");
	assert_true(must(&o, 1)->local);
	assert_int_equal(hosts_slots(&o.hosts), 1);
	outcome_release(&o);
}

static void the_inline_form_gives_names_users_and_slots(void **state)
{
	const struct host *host;
	struct outcome o;

	(void)state;
	load(&o, "a:4,joe@b:2,c[09-10]");
	host = must(&o, 4);
	assert_string_equal(host[0].name, "a");
	assert_string_equal(host[0].address, "a");
	assert_int_equal(host[0].port, 22);
	assert_int_equal(host[0].slots, 4);
	assert_false(host[0].local);
	assert_string_equal(host[1].user, "joe");
	assert_string_equal(host[1].name, "b");
	assert_string_equal(host[2].name, "c09");
	assert_string_equal(host[3].name, "c10");
	assert_int_equal(hosts_slots(&o.hosts), 8);
	outcome_release(&o);
}

static void inline_mistakes_are_said(void **state)
{
	(void)state;
	expect_error("a:x", "hosts 'a:x': slots: 'x' is not a whole number");
	expect_error("a:0", "hosts 'a:0': slots: '0' is out of range: 1 to 4096");
	expect_error("a,,b", "hosts 'a,,b': '' is not a host name");
	expect_error("a,a", "hosts 'a,a': duplicate host 'a'");
	expect_error("local:x", "hosts 'local:x': slots: 'x' is not a whole number");
	expect_error("$(id)", "hosts '$(id)': '$(id)' is not a host name");
	expect_error("-oX", "hosts '-oX': '-oX' is not a host name");
	expect_error("", "hosts '': '' is not a host name");
	expect_error("n[3-1]",
		     "hosts 'n[3-1]': the range in 'n[3-1]' is empty or larger than 10000");
	expect_error("n[a]", "hosts 'n[a]': 'n[a]' has no range such as [01-08]");
}

static void a_missing_file_is_never_a_host(void **state)
{
	(void)state;
	expect_error("nowhere.yaml", "cannot open 'nowhere.yaml': No such file or directory");
	expect_error("./aa", "cannot open './aa': No such file or directory");
	expect_error("hostfile", "cannot open 'hostfile': No such file or directory");
	expect_error(".", "cannot read '.': Is a directory");
}

static void yaml_hosts_take_defaults_from_file_and_group(void **state)
{
	const struct host *host;
	struct outcome o;

	(void)state;
	load_text(&o, "good.yaml",
		  "user: train\n"
		  "port: 2222\n"
		  "env: {A: one, B: two}\n"
		  "identity: [/k1, /k2]\n"
		  "hosts:\n"
		  "  aa:\n"
		  "  b.example.com: {slots: 4, port: 22, env: {B: 'x y'}}\n"
		  "groups:\n"
		  "  rack1:\n"
		  "    network: 10.0.0.0/24\n"
		  "    slots: 2\n"
		  "    hosts:\n"
		  "      node[01-02]: {address: '10.0.0.[11-12]'}\n"
		  "      cc: {user: root, group: other, host_key_check: accept-new}\n");
	host = must(&o, 5);
	assert_string_equal(host[0].name, "aa");
	assert_string_equal(host[0].user, "train");
	assert_int_equal(host[0].port, 2222);
	assert_int_equal(host[0].env_count, 2);
	assert_int_equal(host[0].identity_count, 2);
	assert_string_equal(host[0].identities[1], "/k2");
	assert_true(host[0].connect_timeout_s == 10);
	assert_string_equal(host[1].address, "b.example.com");
	assert_int_equal(host[1].port, 22);
	assert_string_equal(host[1].env[0], "B=x y");
	assert_string_equal(host[1].env[1], "A=one");
	assert_string_equal(host[2].name, "node01");
	assert_string_equal(host[2].address, "10.0.0.11");
	assert_string_equal(host[3].address, "10.0.0.12");
	assert_string_equal(host[3].group, "rack1");
	assert_int_equal(host[3].slots, 2);
	assert_string_equal(host[3].network, "10.0.0.0/24");
	assert_string_equal(host[4].group, "other");
	assert_string_equal(host[4].user, "root");
	assert_int_equal(host[4].host_key_check, HOST_KEY_ACCEPT_NEW);
	assert_int_equal(hosts_slots(&o.hosts), 1 + 4 + 2 * 3);
	outcome_release(&o);
}

static void yaml_hosts_may_be_a_list(void **state)
{
	struct outcome o;
	const struct host *host;

	(void)state;
	load_text(&o, "list.yaml", "hosts:\n  - aa\n  - {name: b.c, slots: 2}\n  - node[1-2]\n");
	host = must(&o, 4);
	assert_string_equal(host[0].name, "aa");
	assert_string_equal(host[1].name, "b.c");
	assert_int_equal(host[1].slots, 2);
	assert_string_equal(host[3].name, "node2");
	outcome_release(&o);
	load_text(&o, "list.yaml", "user: x\nhosts: [aa, bb]\n");
	host = must(&o, 2);
	assert_string_equal(host[1].name, "bb");
	assert_string_equal(host[1].user, "x");
	outcome_release(&o);
}

static void localhost_in_a_file_is_reached_by_ssh(void **state)
{
	struct outcome o;

	(void)state;
	load_text(&o, "l.yaml", "hosts:\n  localhost:\n  local: {}\n  here: {local: yes}\n");
	must(&o, 3);
	assert_false(o.hosts.entries[0].local);
	assert_false(o.hosts.entries[1].local);
	assert_true(o.hosts.entries[2].local);
	outcome_release(&o);
}

static void yaml_mistakes_come_all_at_once_with_places(void **state)
{
	(void)state;
	expect("hosts:\n  aa: {slot: 2}\n  bb: {port: 70000, user: x}\n",
	       "bad.yaml:2:8: unknown key 'slot'; did you mean 'slots'?\n"
	       "bad.yaml:3:14: port: '70000' is out of range: 1 to 65535\n");
	expect("usr: x\nhosts: {aa: {}, bb: {}}\n",
	       "bad.yaml:1:1: unknown key 'usr'; did you mean 'user'?\n");
	expect("hosts:\n  aa: {slots: 0}\n  node[1-3]: {network: 10.0.0.0}\n",
	       "bad.yaml:2:15: slots: '0' is out of range: 1 to 4096\n"
	       "bad.yaml:3:24: network: '10.0.0.0' is not a network such as 10.0.0.0/24\n");
	expect("hosts:\n  aa: {env: {A: \"$(reboot)\", B: ok}}\n",
	       "bad.yaml:2:17: env: the value of 'A' must do without quotes, $, `, !, \\ and line "
	       "ends\n");
	expect("hosts:\n  aa: {host_key_check: maybe, data_addr: eth0, env: {1A: x}}\n",
	       "bad.yaml:2:24: host_key_check: unknown value 'maybe'; one of strict, accept-new, "
	       "no\n"
	       "bad.yaml:2:54: env: '1A' is not a variable with a text\n"
	       "bad.yaml:2:42: data_addr: 'eth0' is not a numeric address\n");
	expect("hosts: {aa: {host_key: AAAA}}\n",
	       "bad.yaml:1:24: host_key: 'AAAA' is neither 'TYPE BASE64' as in known_hosts nor "
	       "'SHA256:...'\n");
	expect("hosts: {aa: 4}\n",
	       "bad.yaml:1:13: host 'aa' needs keys below it, such as 'slots: 4'\n");
	expect("hosts: {aa: {}, 'node[1-2]': {address: '10.0.0.[1-3]'}}\n",
	       "bad.yaml:1:17: '10.0.0.[1-3]' gives 3 for 2 hosts\n");
	expect("hosts: {aa: }\ngroups: {g: {hosts: {aa: }}, h: {}}\n",
	       "bad.yaml:2:22: duplicate host 'aa'\nbad.yaml:2:30: group 'h' has no 'hosts:'\n");
	expect("hosts:\n  aa:\n  aa:\n", "bad.yaml:3:3: duplicate key 'aa'; first in line 2\n");
}

static void a_file_without_hosts_is_refused(void **state)
{
	(void)state;
	expect("user: x\n", "bad.yaml: no 'hosts:' in it; write 'hosts:' and below it one name a "
			    "line, each with ':' after it\n");
	expect("hosts: {}\n", "bad.yaml: no hosts in it\n");
	expect("", "bad.yaml: no hosts in it\n");
	expect("# nothing\n", "bad.yaml: no hosts in it\n");
	expect("\tuser: x\n", "bad.yaml:1:1: tabs may not indent; use spaces\n");
}

static void mpi_files_are_read(void **state)
{
	struct outcome o;
	const struct host *host;

	(void)state;
	load_text(&o, "mpi.txt",
		  "# two hosts\n\naa slots=2 max_slots=4   # fast\n\n"
		  "joe@bb port=2222 identity=/k\r\n node[1-2] slots=3\n");
	host = must(&o, 4);
	assert_string_equal(host[0].name, "aa");
	assert_int_equal(host[0].slots, 2);
	assert_string_equal(host[1].user, "joe");
	assert_int_equal(host[1].port, 2222);
	assert_int_equal(host[1].slots, 1);
	assert_string_equal(host[1].identities[0], "/k");
	assert_string_equal(host[3].name, "node2");
	assert_int_equal(host[3].slots, 3);
	outcome_release(&o);
}

static void mpi_mistakes_come_all_at_once_with_places(void **state)
{
	struct outcome o;

	(void)state;
	load_text(&o, "bad.txt", "aa:4\nbb slot=2\ncc slots\naa slots=1\naa slots=x slots=2\n");
	assert_int_equal(o.status, -1);
	assert_string_equal(buf_text(&o.problems.text),
			    "bad.txt:1:1: 'aa:4' could mean slots or a port; write 'aa slots=4' or "
			    "'aa port=4'\n"
			    "bad.txt:2:4: unknown key 'slot'; did you mean 'slots'?\n"
			    "bad.txt:3:4: 'slots' is not KEY=VALUE, such as slots=2\n"
			    "bad.txt:5:12: duplicate key 'slots'\n"
			    "bad.txt:5:1: duplicate host 'aa'\n"
			    "bad.txt:5:4: slots: 'x' is not a whole number\n");
	assert_string_equal(o.err.text, "'bad.txt' has 6 problems");
	outcome_release(&o);
}

static void a_binary_file_is_refused(void **state)
{
	static const char bytes[] = "\x7f"
				    "ELF\0\1\2\3";
	struct outcome o;
	struct error err;

	(void)state;
	assert_int_equal(file_write("binary", bytes, sizeof(bytes), &err), 0);
	load(&o, "binary");
	assert_int_equal(o.status, -1);
	assert_non_null(strstr(buf_text(&o.problems.text), "binary:1:1: is not text in UTF-8"));
	outcome_release(&o);
}

/* They would reach the terminal, and the run directory's hosts.yaml could not be read again. */
static void control_characters_are_refused(void **state)
{
	(void)state;
	expect("me\x1a@aa slots=2\nbb identity=a\x7f\n",
	       "bad.yaml:1:1: user: the text has a control character in it\n"
	       "bad.yaml:2:4: identity: the text has a control character in it\n");
	expect_error("m\xff@aa", "hosts 'm\xff@aa': user: the text has a control character in it");
}

static void ssh_config_is_below_the_file_and_above_the_defaults(void **state)
{
	struct outcome o;
	const struct host *host;

	(void)state;
	write_text("config",
		   "Host aa\n  HostName 10.0.0.7\n  Port 2200\n  User joe\n  IdentityFile /k\n"
		   "  StrictHostKeyChecking accept-new\n  ProxyJump gate\n  ConnectTimeout 3\n"
		   "Host gate\n  User jumper\n  Port 99\n");
	setenv("DSTRAIN_SSH_CONFIG", "config", 1);
	load_text(&o, "c.yaml", "hosts:\n  aa: {port: 22, proxy_jump: none}\n  bb:\n");
	host = must(&o, 2);
	assert_string_equal(host[0].address, "10.0.0.7");
	assert_int_equal(host[0].port, 22);
	assert_string_equal(host[0].user, "joe");
	assert_string_equal(host[0].identities[0], "/k");
	assert_int_equal(host[0].host_key_check, HOST_KEY_ACCEPT_NEW);
	assert_null(host[0].proxy_jump);
	assert_true(host[0].connect_timeout_s == 3);
	assert_string_equal(host[1].address, "bb");
	outcome_release(&o);

	load(&o, "aa:2");
	assert_int_equal(must(&o, 1)->port, 2200);
	assert_string_equal(o.hosts.entries[0].proxy_jump, "gate");
	outcome_release(&o);

	write_text("config", "Host aa\n  Port many\n");
	load(&o, "aa");
	assert_int_equal(o.status, -1);
	assert_string_equal(o.err.text, "config:2:1: port: 'many' is not a whole number");
	outcome_release(&o);
	setenv("DSTRAIN_SSH_CONFIG", "/dev/null", 1);
}

static void a_jump_target_is_a_single_host(void **state)
{
	struct host host = { 0 };
	struct error err;

	(void)state;
	write_text("config", "Host gate\n  User jumper\n  Port 99\n  HostName 10.0.0.1\n");
	setenv("DSTRAIN_SSH_CONFIG", "config", 1);
	assert_int_equal(host_target(&host, "gate", &err), 0);
	assert_string_equal(host.user, "jumper");
	assert_string_equal(host.address, "10.0.0.1");
	assert_int_equal(host.port, 99);
	host_release(&host);
	assert_int_equal(host_target(&host, "joe@gate:2222", &err), 0);
	assert_string_equal(host.user, "joe");
	assert_int_equal(host.port, 2222);
	host_release(&host);
	assert_int_equal(host_target(&host, "gate:x", &err), -1);
	assert_string_equal(err.text, "gate:x: port: 'x' is not a whole number");
	setenv("DSTRAIN_SSH_CONFIG", "/dev/null", 1);
}

static void printing_loads_back_to_the_same(void **state)
{
	struct outcome first, second;
	struct buf printed = { 0 }, again = { 0 };

	(void)state;
	load_text(&first, "print.yaml",
		  "hosts:\n"
		  "  a.b: {slots: 3, env: {A: \"x; #y\"}, identity: [/k1, \"/k 2\"]}\n"
		  "  c: {user: joe, host_key: ssh-ed25519 AAAA, host_key_check: no,\n"
		  "      network: 10.0.0.0/8, data_addr: 10.0.0.1, group: g, proxy_jump: j,\n"
		  "      known_hosts: /kh, host_key_alias: alias, identities_only: yes,\n"
		  "      connect_timeout: 2.5s, port: 2222, address: 10.0.0.9}\n"
		  "  d: {local: yes, slots: 2}\n");
	must(&first, 3);
	hosts_print(&first.hosts, &printed);
	load_text(&second, "print.yaml", buf_text(&printed));
	must(&second, 3);
	hosts_print(&second.hosts, &again);
	assert_string_equal(buf_text(&again), buf_text(&printed));
	assert_string_equal(second.hosts.entries[0].env[0], "A=x; #y");
	assert_string_equal(second.hosts.entries[0].identities[1], "/k 2");
	assert_string_equal(second.hosts.entries[1].host_key, "ssh-ed25519 AAAA");
	assert_string_equal(second.hosts.entries[1].known_hosts[0], "/kh");
	assert_true(second.hosts.entries[1].connect_timeout_s == 2.5);
	assert_true(second.hosts.entries[2].local);
	buf_release(&printed);
	buf_release(&again);
	outcome_release(&first);
	outcome_release(&second);
}

/* Each of them against all before takes minutes. */
static void as_many_hosts_as_can_be_numbered_are_read_in_seconds_and_no_more(void **state)
{
	double began = clock_now();
	struct buf text = { 0 };
	struct outcome o;

	(void)state;
	buf_addf(&text, "hosts:\n");
	for (int i = 0; i < 6; i++)
		buf_addf(&text, "  a%d-[1-10000]: {data_addr: \"10.%d.0.[1-10000]\"}\n", i, i);
	load_text(&o, "many.yaml", buf_text(&text));
	assert_int_equal(o.status, -1); /* there is no 10.0.0.256 */
	assert_int_equal(o.problems.count, 100);
	outcome_release(&o);
	buf_release(&text);
	buf_addf(&text, "hosts:\n");
	for (int i = 0; i < 7; i++)
		buf_addf(&text, "  a%d-[1-10000]: {address: \"h%d-[1-10000]\"}\n", i, i);
	load_text(&o, "many.yaml", buf_text(&text));
	assert_int_equal(o.status, -1);
	assert_string_equal(buf_text(&o.problems.text), "many.yaml:8:3: more than 65535 hosts; "
							"that is all that dstrain can number\n");
	outcome_release(&o);
	buf_release(&text);
	assert_true(clock_now() - began < 90);
}

static int enter(void **state)
{
	setenv("DSTRAIN_SSH_CONFIG", "/dev/null", 1);
	return scratch_make(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(local_is_this_machine),
		cmocka_unit_test(the_inline_form_gives_names_users_and_slots),
		cmocka_unit_test(inline_mistakes_are_said),
		cmocka_unit_test(a_missing_file_is_never_a_host),
		cmocka_unit_test(yaml_hosts_take_defaults_from_file_and_group),
		cmocka_unit_test(yaml_hosts_may_be_a_list),
		cmocka_unit_test(localhost_in_a_file_is_reached_by_ssh),
		cmocka_unit_test(yaml_mistakes_come_all_at_once_with_places),
		cmocka_unit_test(a_file_without_hosts_is_refused),
		cmocka_unit_test(mpi_files_are_read),
		cmocka_unit_test(mpi_mistakes_come_all_at_once_with_places),
		cmocka_unit_test(a_binary_file_is_refused),
		cmocka_unit_test(control_characters_are_refused),
		cmocka_unit_test(ssh_config_is_below_the_file_and_above_the_defaults),
		cmocka_unit_test(a_jump_target_is_a_single_host),
		cmocka_unit_test(printing_loads_back_to_the_same),
		cmocka_unit_test(as_many_hosts_as_can_be_numbered_are_read_in_seconds_and_no_more),
	};

	return cmocka_run_group_tests(tests, enter, scratch_remove);
}
