/* Connecting over SSH: host keys, logging in, jump hosts, and every refusal. */
#include "tests/unit/sshd.h"

static void expect_refusal(const struct host *host, const char *const *parts)
{
	struct error err;
	struct ssh *ssh;

	assert_int_equal(ssh_connect(&ssh, host, &err), -1);
	assert_int_equal(strncmp(err.text, host->name, strlen(host->name)), 0);
	for (; *parts; parts++)
		if (!strstr(err.text, *parts))
			fail_msg("no '%s' in: %s", *parts, err.text);
}

#define REFUSED(host, ...) expect_refusal(host, (const char *const[]){ __VA_ARGS__, NULL })

static void unknown_host_keys_are_refused_with_the_way_out(void **state)
{
	struct host host = make_host("node3", server_port);
	char scan[128];

	(void)state;
	shell("rm -f %s", host.known_hosts[0]);
	host.host_key_check = HOST_KEY_STRICT;
	snprintf(scan, sizeof(scan), "ssh-keyscan -t ed25519 -p %d 127.0.0.1 >> ", server_port);
	REFUSED(&host, "node3: its host key is not known: ssh-ed25519 SHA256:", scan,
		host.known_hosts[0]);
	/* the command does what it says */
	shell("%s %s 2>/dev/null", scan, host.known_hosts[0]);
	ssh_close(connect_to(&host));
	shell("ssh-keygen -q -H -f %s >/dev/null 2>&1", host.known_hosts[0]);
	ssh_close(connect_to(&host));
	host_release(&host);
}

static void changed_host_keys_are_refused_with_the_way_out(void **state)
{
	struct host host = make_host("node3", server_port);
	char name[64], line[64];

	(void)state;
	host.host_key_check = HOST_KEY_ACCEPT_NEW;
	snprintf(name, sizeof(name), "[127.0.0.1]:%d", server_port);
	shell("(echo '# comment'; echo '%s' $(cat %s/id_ed25519.pub)) > %s", name, directory,
	      host.known_hosts[0]);
	snprintf(line, sizeof(line), "line 2 says");
	REFUSED(&host, "node3: its host key has CHANGED", "SHA256:", line, "ssh-keygen -f", "-R",
		name);
	shell("(printf '@revoked '; echo '%s' $(cat %s/host_ed25519.pub)) > %s", name, directory,
	      host.known_hosts[0]);
	REFUSED(&host, "is revoked in");
	host_release(&host);
}

static void new_host_keys_are_added_when_asked_for(void **state)
{
	struct host host = make_host("h", server_port);

	(void)state;
	shell("printf '# no line end' > %s", host.known_hosts[0]);
	host.host_key_check = HOST_KEY_ACCEPT_NEW;
	ssh_close(connect_to(&host));
	host.host_key_check = HOST_KEY_STRICT;
	ssh_close(connect_to(&host));
	shell("[ $(wc -l < %s) = 2 ] && ssh-keygen -f %s -F '[127.0.0.1]:%d' >/dev/null",
	      host.known_hosts[0], host.known_hosts[0], server_port);
	host_release(&host);
}

static void known_hosts_is_read_as_ssh_reads_it(void **state)
{
	struct host host = make_host("h", server_port);

	(void)state;
	host.host_key_check = HOST_KEY_STRICT;
	/* only one kind of key is known, and not the kind that we would ask for first */
	shell("echo '[127.0.0.1]:%d' $(cat %s/host_ecdsa.pub) > %s", server_port, directory,
	      host.known_hosts[0]);
	ssh_close(connect_to(&host));
	shell("echo '!10.0.0.1,[127.*]:%d' $(cat %s/host_ed25519.pub) > %s", server_port, directory,
	      host.known_hosts[0]);
	ssh_close(connect_to(&host));
	shell("echo '!*127*,[127.*]:%d' $(cat %s/host_ed25519.pub) > %s", server_port, directory,
	      host.known_hosts[0]);
	REFUSED(&host, "not known");
	/* without the port the same key will do, another is no change */
	shell("echo 127.0.0.1 $(cat %s/host_ed25519.pub) > %s", directory, host.known_hosts[0]);
	ssh_close(connect_to(&host));
	shell("echo 127.0.0.1 $(cat %s/id_ed25519.pub) > %s", directory, host.known_hosts[0]);
	REFUSED(&host, "not known");
	shell("echo other $(cat %s/host_ed25519.pub) > %s", directory, host.known_hosts[0]);
	set_text(&host.host_key_alias, "other");
	ssh_close(connect_to(&host));
	host_release(&host);
}

static void a_pinned_key_is_the_only_one(void **state)
{
	struct host host = make_host("h", server_port);
	struct buf text = { 0 };
	struct error err;
	char path[256];

	(void)state;
	shell("ssh-keygen -lf %s/host_ecdsa.pub | cut -d' ' -f2 | tr -d '\\n' > %s/pin", directory,
	      directory);
	snprintf(path, sizeof(path), "%s/pin", directory);
	assert_int_equal(file_read(&text, path, 4096, &err), 0);
	set_text(&host.host_key, "%s", text.data);
	REFUSED(&host, "not the one that 'host_key' pins", "ssh-ed25519 SHA256:");
	text.length = 0;
	snprintf(path, sizeof(path), "%s/host_ecdsa.pub", directory);
	assert_int_equal(file_read(&text, path, 4096, &err), 0);
	set_text(&host.host_key, "%.*s", (int)strcspn(text.data, "\n"), text.data);
	ssh_close(connect_to(&host));
	buf_release(&text);
	host_release(&host);
}

static void refused_logins_say_what_was_tried(void **state)
{
	struct host host = make_host("h", server_port);

	(void)state;
	set_text(&host.user, "nobody-here");
	REFUSED(&host, "permission denied for user 'nobody-here' (tried ", "id_ed25519: refused)",
		"ssh -v -p ");
	free(host.user);
	host.user = ssh_login_name();
	set_text(&host.identities[0], "%s/stranger", directory);
	REFUSED(&host, "stranger: refused");
	set_text(&host.identities[0], "%s/missing", directory);
	REFUSED(&host, "missing: no such file");
	set_text(&host.identities[0], "%s/authorized", directory);
	REFUSED(&host, "authorized: unusable (");
	set_text(&host.identities[0], "%s/locked", directory);
	REFUSED(&host, "locked: needs a passphrase", "unlock the key with: ssh-add ");
	set_text(&host.identities[0], "%s/locked_pem", directory);
	REFUSED(&host, "locked_pem: needs a passphrase");
	host_release(&host);
}

static void an_rsa_key_that_cannot_work_is_explained(void **state)
{
	struct host host = make_host("h", server_port);
	struct error err;
	struct ssh *ssh;

	(void)state;
	set_text(&host.identities[0], "%s/id_rsa", directory);
	if (ssh_connect(&ssh, &host, &err) == 0)
		ssh_close(ssh); /* a newer libssh2 */
	else
		REFUSED(&host, "id_rsa: refused", "the RSA key may be fine",
			"ssh-keygen -t ed25519");
	host_release(&host);
}

static void the_agent_unlocks_what_we_cannot(void **state)
{
	struct host host = make_host("h", server_port);
	struct ssh *ssh;

	(void)state;
	shell("cd %s && ssh-agent -a agent > agent.sh && . ./agent.sh > /dev/null && "
	      "SSH_ASKPASS=%s/askpass SSH_ASKPASS_REQUIRE=force ssh-add -q stranger locked "
	      "</dev/null 2>/dev/null",
	      directory, directory);
	setenv("SSH_AUTH_SOCK", "agent", 1);
	set_text(&host.identities[0], "%s/missing", directory);
	ssh = connect_to(&host);
	expect_output(ssh, "echo in", "in\n");
	ssh_close(ssh);
	host.identities_only = true;
	REFUSED(&host, "missing: no such file)");
	set_text(&host.identities[0], "%s/locked", directory);
	ssh_close(connect_to(&host));
	setenv("SSH_AUTH_SOCK", "/nonexistent", 1);
	REFUSED(&host, "agent: does not answer", "ssh-add");
	unsetenv("SSH_AUTH_SOCK");
	shell("cd %s && . ./agent.sh >/dev/null && ssh-agent -k >/dev/null", directory);
	host_release(&host);
}

static void an_unreachable_host_is_told_apart(void **state)
{
	struct host host = make_host("h", 0);
	struct sockaddr_in at;
	double before;
	int port, closed, busy, first, second;

	(void)state;
	closed = listen_somewhere(&port);
	close(closed);
	host.port = (uint16_t)port;
	REFUSED(&host, "cannot connect to 127.0.0.1 port ", "Connection refused",
		"does an SSH server run there");

	/* a server that accepts and says nothing, then one that does not even accept */
	busy = listen_somewhere(&port);
	host.port = (uint16_t)port;
	host.connect_timeout_s = 0.3;
	before = clock_now();
	REFUSED(&host, "gave up after 0.3 s while shaking hands");
	at = loopback(port);
	first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	connect(first, (struct sockaddr *)&at, sizeof(at));
	connect(second, (struct sockaddr *)&at, sizeof(at));
	REFUSED(&host, "no answer from 127.0.0.1 port ", "within 0.3 s");
	assert_true(clock_now() - before < 30);
	close(first);
	close(second);
	close(busy);

	host.connect_timeout_s = 60;
	set_text(&host.address, "no-such-host.invalid");
	REFUSED(&host, "no-such-host.invalid'");
	host_release(&host);
}

static void a_server_without_keys_is_told(void **state)
{
	struct process other;
	struct host host = make_host(
		"h", start_server(&other, "PubkeyAuthentication no\nPasswordAuthentication yes\n"
					  "KbdInteractiveAuthentication no"));

	(void)state;
	REFUSED(&host, "h: the server takes no keys, only password");
	host_release(&host);
	process_release(&other);
}

static void jump_hosts_carry_sessions(void **state)
{
	struct process inner;
	int inner_port = start_server(&inner, "");
	struct host host = make_host("target", inner_port);
	struct error err;
	struct ssh *ssh;
	char config[256], *text;

	(void)state;
	snprintf(config, sizeof(config), "%s/config", directory);
	text = xasprintf("Host *\n IdentityFile %s/id_ed25519\n StrictHostKeyChecking no\n"
			 " HostName 127.0.0.1\n Port %d\n UserKnownHostsFile %s/jumps\n"
			 "Host loop\n ProxyJump loop\nHost ring1\n ProxyJump ring2\n"
			 "Host ring2\n ProxyJump ring1\n",
			 directory, server_port, directory);
	assert_int_equal(file_write(config, text, strlen(text), &err), 0);
	free(text);
	setenv("DSTRAIN_SSH_CONFIG", config, 1);
	set_text(&host.proxy_jump, "gate");
	ssh = connect_to(&host);
	text = xasprintf("%d\n", inner_port);
	expect_output(ssh, "echo ${SSH_CONNECTION##* }", text);
	free(text);
	ssh_close(ssh);
	set_text(&host.proxy_jump, "first,loop");
	ssh = connect_to(&host);
	expect_output(ssh, "head -c 3000000 /dev/zero | wc -c", "3000000\n");
	ssh_close(ssh);
	set_text(&host.proxy_jump, "nobody-here@gate");
	REFUSED(&host, "target: through jump host gate: permission denied for user 'nobody-here'");
	set_text(&host.proxy_jump, "ring1");
	REFUSED(&host, "more than 8 jump hosts");
	set_text(&host.proxy_jump, "gate");
	host.host_key_check = HOST_KEY_STRICT;
	shell("rm -f %s", host.known_hosts[0]);
	REFUSED(&host, "not known", "ssh -o StrictHostKeyChecking=accept-new -J gate -p ");
	host.port = 1;
	REFUSED(&host, "through jump host gate: the server refuses to connect further");
	setenv("DSTRAIN_SSH_CONFIG", "/dev/null", 1);
	host_release(&host);
	process_release(&inner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_host_keys_are_refused_with_the_way_out),
		cmocka_unit_test(changed_host_keys_are_refused_with_the_way_out),
		cmocka_unit_test(new_host_keys_are_added_when_asked_for),
		cmocka_unit_test(known_hosts_is_read_as_ssh_reads_it),
		cmocka_unit_test(a_pinned_key_is_the_only_one),
		cmocka_unit_test(refused_logins_say_what_was_tried),
		cmocka_unit_test(an_rsa_key_that_cannot_work_is_explained),
		cmocka_unit_test(the_agent_unlocks_what_we_cannot),
		cmocka_unit_test(an_unreachable_host_is_told_apart),
		cmocka_unit_test(a_server_without_keys_is_told),
		cmocka_unit_test(jump_hosts_carry_sessions),
	};

	if (!file_exists("/usr/sbin/sshd")) {
		print_message("skipped: no /usr/sbin/sshd (package openssh-server)\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
