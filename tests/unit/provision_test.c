/* Hosts get what they lack, once, or say why they cannot. */
#include "tests/unit/sshd.h"

#include <signal.h>

#include "lib/stop.h"

static void a_host_is_provisioned_once(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	char *paths[] = { xasprintf("%s/id_rsa", directory), xasprintf("%s/copy", directory),
			  xasprintf("%s/id_rsa.pub", directory) };
	struct provision_files files = { 0 };
	char *cache = NULL, here[DIGEST_HEX], *program, *copy;
	uint64_t sent = 0;
	struct error err;

	(void)state;
	shell("rm -rf %s/cache", directory);
	shell("cp %s %s", paths[0], paths[1]);
	if (provision_collect(&files, paths, 3, true, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(files.count, 4); /* the same bytes under two names travel once */
	if (provision_host(ssh, &host, &files, NULL, &cache, &sent, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sent,
			 files.entries[0].bytes + files.entries[1].bytes + files.entries[3].bytes);
	program = xasprintf("%s/bin/%s/dstrain", cache, files.entries[0].digest);
	copy = xasprintf("%s/data/%s", cache, files.entries[1].digest);
	assert_int_equal(access(program, X_OK), 0);
	assert_int_equal(digest_file(here, program, &err), 0);
	assert_string_equal(here, files.entries[0].digest);
	free(cache);
	assert_int_equal(provision_host(ssh, &host, &files, NULL, &cache, &sent, &err), 0);
	assert_int_equal(sent, 0);
	free(cache);
	shell("truncate -s 10 %s", copy);
	assert_int_equal(provision_host(ssh, &host, &files, NULL, &cache, &sent, &err), 0);
	assert_int_equal(sent, files.entries[1].bytes);
	assert_int_equal(digest_file(here, copy, &err), 0);
	assert_string_equal(here, files.entries[1].digest);
	free(cache);
	free(program);
	free(copy);
	provision_files_release(&files);
	assert_int_equal(provision_collect(&files, (char *[]){ directory }, 1, true, &err), -1);
	for (int i = 0; i < 3; i++)
		free(paths[i]);
	ssh_close(ssh);
	host_release(&host);
}

static void a_host_that_cannot_be_provisioned_says_why(void **state)
{
	static const struct {
		const char *lines, *says;
	} cases[] = {
		{ "ForceCommand export XDG_CACHE_HOME=/dev/null; sh -c \"$SSH_ORIGINAL_COMMAND\"",
		  "h: mkdir: cannot create directory" },
		{ "ForceCommand uname() { echo pdp11; }; export -f uname; "
		  "bash -c \"uname() { echo pdp11; }; . /dev/stdin\"",
		  "h: is pdp11, and this dstrain is built for " },
		{ "ForceCommand export XDG_CACHE_HOME=\"/tmp/it's\"; "
		  "sh -c \"$SSH_ORIGINAL_COMMAND\"; rm -rf \"/tmp/it's\"",
		  "h: its cache directory '/tmp/it's/dstrain' is not a plain absolute path" },
		{ "ForceCommand echo This account is not available.; exit 1",
		  "h: This account is not available. (the remote command: exit status 1)" },
	};
	struct provision_files files = { 0 };
	struct error err;

	(void)state;
	assert_int_equal(provision_collect(&files, NULL, 0, true, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process other;
		struct host host = make_host("h", start_server(&other, cases[i].lines));
		struct ssh *ssh = connect_to(&host);
		char *cache = NULL;
		uint64_t sent;

		assert_int_equal(provision_host(ssh, &host, &files, NULL, &cache, &sent, &err), -1);
		if (!strstr(err.text, cases[i].says))
			fail_msg("no '%s' in: %s", cases[i].says, err.text);
		ssh_close(ssh);
		host_release(&host);
		process_release(&other);
	}
	provision_files_release(&files);
}

/* The last test: a signal that came stays. */
static void a_signal_ends_an_upload(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh = connect_to(&host);
	struct provision_files files = { 0 };
	char *cache = NULL;
	uint64_t sent;
	struct error err;

	(void)state;
	shell("rm -rf %s/cache", directory);
	assert_int_equal(provision_collect(&files, NULL, 0, true, &err), 0);
	stop_install(false);
	raise(SIGTERM);
	assert_int_equal(provision_host(ssh, &host, &files, NULL, &cache, &sent, &err), -1);
	assert_string_equal(err.text, "h: interrupted");
	assert_null(cache);
	provision_files_release(&files);
	ssh_close(ssh);
	host_release(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_is_provisioned_once),
		cmocka_unit_test(a_host_that_cannot_be_provisioned_says_why),
		cmocka_unit_test(a_signal_ends_an_upload),
	};

	if (!file_exists("/usr/sbin/sshd")) {
		print_message("skipped: no /usr/sbin/sshd (package openssh-server)\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
