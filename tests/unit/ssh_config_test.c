/* ~/.ssh/config: patterns, precedence, Include, tokens, quoting, and what is skipped. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/ssh_config.h"
#include "tests/unit/scratch.h"

/* Values joined by blanks; "" if there are none. */
static void expect(const char *text, const char *name, const char *key, const char *wanted)
{
	struct ssh_config config = { 0 };
	const struct setting *found;
	struct buf joined = { 0 };
	struct error err;

	if (text)
		write_text("config", text);
	if (ssh_config_read(&config, name, NULL, &err) < 0)
		fail_msg("%s", err.text);
	found = settings_find(&config.settings, key);
	for (size_t i = 0; found && i < found->count; i++)
		buf_addf(&joined, "%s%s", i ? " " : "", found->values[i]);
	assert_string_equal(buf_text(&joined), wanted);
	buf_release(&joined);
	ssh_config_release(&config);
}

static void patterns_match_as_in_ssh(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{ "a", "a", true },	     { "a", "ab", false },	 { "*", "", true },
		{ "a*c", "abbc", true },     { "a*c", "abcd", false },	 { "a?", "ab", true },
		{ "a?", "a", false },	     { "*.b.*", "x.b.y", true }, { "", "", true },
		{ "[a]:*", "[a]:22", true }, { "**a", "ba", true },	 { "A", "a", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(ssh_pattern_match(cases[i].pattern, cases[i].text),
				 cases[i].matches);
}

static void the_first_value_wins(void **state)
{
	static const char text[] = "User first\n"
				   "Host aa *.lab !bb.lab\n"
				   "  User second\n"
				   "  Port 1\n"
				   "Host *\n"
				   "  Port 2\n";

	(void)state;
	expect(text, "aa", "user", "first");
	expect(text, "aa", "port", "1");
	expect(text, "cc.lab", "port", "1");
	expect(text, "bb.lab", "port", "2");
	expect(text, "zz", "port", "2");
	expect(text, "zz", "address", "");
}

static void identities_add_up(void **state)
{
	static const char text[] = "Host aa\n  IdentityFile /k1\n"
				   "Host *\n  IdentityFile /k2\n  UserKnownHostsFile /a /b\n";

	(void)state;
	expect(text, "aa", "identity", "/k1 /k2");
	expect(text, "bb", "identity", "/k2");
	expect(text, "bb", "known_hosts", "/a /b");
}

static void all_ways_to_write_a_line_are_read(void **state)
{
	static const char text[] = "\t# a comment\n\n"
				   "hostname=h1\r\n"
				   "USER = joe # and a comment\n"
				   "IdentityFile \"/with blank/key\"\n"
				   "identityfile=\"/k=2\"\n"
				   "StrictHostKeyChecking ask\n"
				   "IdentitiesOnly yes\n"
				   "Unknown things are skipped\n"
				   "ConnectTimeout 7\n"
				   "Port 22"; /* no line end */

	(void)state;
	expect(text, "aa", "address", "h1");
	expect(text, "aa", "user", "joe");
	expect(text, "aa", "identity", "/with blank/key /k=2");
	expect(text, "aa", "host_key_check", "strict");
	expect(text, "aa", "identities_only", "yes");
	expect(text, "aa", "connect_timeout", "7");
	expect(text, "aa", "port", "22");
	expect("StrictHostKeyChecking no\n", "aa", "host_key_check", "no");
	expect("StrictHostKeyChecking accept-new\n", "aa", "host_key_check", "accept-new");
	expect("", "aa", "port", "");
}

static void tokens_and_home_are_expanded(void **state)
{
	char *login = ssh_login_name();
	char *wanted = xasprintf("/home/test/.ssh/k /home/test/%s /x/aa-aa.lab-joe-22-%%", login);

	(void)state;
	setenv("HOME", "/home/test", 1);
	expect("HostName %h.lab\nUser joe\nIdentityFile ~/.ssh/k\nIdentityFile %d/%u\n"
	       "IdentityFile /x/%n-%h-%r-%p-%%\nHostKeyAlias alias-%n\n",
	       "aa", "identity", wanted);
	expect(NULL, "aa", "address", "aa.lab");
	expect(NULL, "aa", "host_key_alias", "alias-aa");
	free(wanted);
	free(login);
}

static void included_files_count_where_they_stand(void **state)
{
	(void)state;
	assert_int_equal(mkdir("conf.d", 0700), 0);
	write_text("conf.d/1", "Host aa\n  Port 1\n");
	write_text("conf.d/2", "Port 2\n");
	char *dir = getcwd(NULL, 0);
	char *text = xasprintf("Include %s/conf.d/* /nonexistent\nPort 3\nHost bb\nInclude "
			       "%s/conf.d/2\nUser joe\nHost cc\nUser ann\n",
			       dir, dir);

	expect(text, "aa", "port", "1"); /* "Host aa" ends with its file */
	expect(text, "bb", "port", "2");
	expect(text, "bb", "user", "joe");
	expect(text, "cc", "user", "ann");
	free(text);
	text = xasprintf("Host bb\nInclude %s/conf.d/2\nHost *\nPort 3\n", dir);
	expect(text, "cc", "port", "3"); /* an Include for another host */
	free(text);
	free(dir);
}

static void match_blocks_are_skipped_but_for_all(void **state)
{
	static const char text[] = "Match host aa\n  Port 1\nMatch all\n  User joe\n";

	(void)state;
	expect(text, "aa", "port", "");
	expect(text, "aa", "user", "joe");
}

static void what_cannot_be_read_is_said(void **state)
{
	struct ssh_config config = { 0 };
	struct error err;
	char *dir = getcwd(NULL, 0);
	char *text = xasprintf("Include %s/config\n", dir);

	(void)state;
	write_text("config", "Host aa\n  User \"joe\nPort 1\n");
	assert_int_equal(ssh_config_read(&config, "aa", NULL, &err), -1);
	assert_string_equal(err.text, "config:2: a quote is not closed");
	ssh_config_release(&config);
	write_text("config", text);
	assert_int_equal(ssh_config_read(&config, "aa", NULL, &err), -1);
	assert_non_null(strstr(err.text, "config:1: included too deep"));
	ssh_config_release(&config);
	free(text);
	free(dir);
}

static int enter(void **state)
{
	setenv("DSTRAIN_SSH_CONFIG", "config", 1);
	return scratch_make(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_in_ssh),
		cmocka_unit_test(the_first_value_wins),
		cmocka_unit_test(identities_add_up),
		cmocka_unit_test(all_ways_to_write_a_line_are_read),
		cmocka_unit_test(tokens_and_home_are_expanded),
		cmocka_unit_test(included_files_count_where_they_stand),
		cmocka_unit_test(match_blocks_are_skipped_but_for_all),
		cmocka_unit_test(what_cannot_be_read_is_said),
	};

	return cmocka_run_group_tests(tests, enter, scratch_remove);
}
