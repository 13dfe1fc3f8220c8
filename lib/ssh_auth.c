/* Logging in with the agent's keys and with key files; never with a question. */
#include <stdlib.h>
#include <string.h>

#include <libssh2.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/ssh_config.h"
#include "lib/ssh_session.h"

enum { KEY_BYTES = 1 << 20 };

static const char openssh_plain[] = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"; /* version, cipher "none" */

enum key_kind { KEY_MISSING, KEY_RSA, KEY_OTHER, KEY_ENCRYPTED, KEY_UNREADABLE };

struct login {
	struct ssh *ssh;
	struct buf tried; /* for the error: "agent: 2 keys refused, ~/.ssh/id_rsa: refused" */
	bool rsa_refused;
	char *encrypted; /* the first key file that only the agent could use */
};

/* Whether the text between the BEGIN and END lines starts, once joined, with `prefix`. */
static bool body_starts(const char *body, const char *prefix)
{
	for (; *prefix; body++) {
		if (*body == '\n' || *body == '\r')
			continue;
		if (*body != *prefix)
			return false;
		prefix++;
	}
	return true;
}

/* An unencrypted file in OpenSSH's format names its algorithm at byte 43, so that the base64 text
 * of "ssh-rsa" is always the same. */
static bool body_is_rsa(const char *body)
{
	struct buf joined = { 0 };
	bool rsa;

	for (; *body && *body != '-' && joined.length < 128; body++)
		if (*body != '\n' && *body != '\r')
			buf_add(&joined, body, 1);
	rsa = strstr(buf_text(&joined), "dzc2gtcnNh") != NULL;
	buf_release(&joined);
	return rsa;
}

static enum key_kind classify(const char *path)
{
	static const char openssh[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
	enum key_kind kind = KEY_OTHER;
	struct buf text = { 0 };
	struct error err;
	const char *found;

	if (!file_exists(path))
		return KEY_MISSING;
	if (file_read(&text, path, KEY_BYTES, &err) < 0)
		kind = KEY_UNREADABLE;
	else if ((found = strstr(buf_text(&text), openssh)))
		kind = !body_starts(found + strlen(openssh), openssh_plain) ? KEY_ENCRYPTED
		       : body_is_rsa(found + strlen(openssh))		    ? KEY_RSA
									    : KEY_OTHER;
	else if (strstr(buf_text(&text), "ENCRYPTED"))
		kind = KEY_ENCRYPTED;
	else if (strstr(buf_text(&text), "BEGIN RSA"))
		kind = KEY_RSA;
	memory_wipe(text.data, text.length);
	buf_release(&text);
	return kind;
}

static void note(struct login *login, const char *what, const char *outcome)
{
	buf_addf(&login->tried, "%s%s: %s", login->tried.length ? ", " : "", what, outcome);
}

/* 1: logged in, 0: not with this one, -1: no use to go on. */
static int try_file(struct login *login, const char *path, struct error *err)
{
	struct ssh *ssh = login->ssh;
	const char *user = ssh->host->user;
	char *outcome;
	int rc;

	while ((rc = libssh2_userauth_publickey_fromfile_ex(ssh->session, user,
							    (unsigned)strlen(user), NULL, path,
							    "")) == LIBSSH2_ERROR_EAGAIN)
		if (ssh_settle(ssh, "logging in", err) < 0)
			return -1;
	if (rc == 0)
		return 1;
	if (ssh->lost[0])
		return error_set(err,
				 "%s while logging in (tried %s%s%s); too many keys? see "
				 "'identities_only'",
				 ssh->lost, buf_text(&login->tried),
				 login->tried.length ? ", " : "", path);
	if (rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED || rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED) {
		note(login, path, "refused");
		return 0;
	}
	outcome = xasprintf("unusable (%s)", ssh_reason(ssh));
	note(login, path, outcome);
	free(outcome);
	return 0;
}

static int visit_file(struct login *login, const char *path, bool rsa, struct error *err)
{
	char *full = ssh_expand_home(path);
	enum key_kind kind = classify(full);
	int status = 0;

	if (kind == KEY_ENCRYPTED && !rsa) {
		note(login, full, "needs a passphrase");
		if (!login->encrypted)
			login->encrypted = xstrdup(full);
	} else if (kind == KEY_UNREADABLE && !rsa) {
		note(login, full, "cannot be read");
	} else if (kind == KEY_MISSING && !rsa && login->ssh->host->identity_count) {
		note(login, full, "no such file");
	} else if (kind == (rsa ? KEY_RSA : KEY_OTHER)) {
		status = try_file(login, full, err);
		if (status == 0 && rsa)
			login->rsa_refused = true;
	}
	free(full);
	return status;
}

static int try_files(struct login *login, bool rsa, struct error *err)
{
	static const char *const usual[] = { "~/.ssh/id_ed25519", "~/.ssh/id_ecdsa",
					     "~/.ssh/id_rsa" };
	const struct host *host = login->ssh->host;
	size_t given = host->identity_count, count = given ? given : ARRAY_SIZE(usual);
	int status = 0;

	for (size_t i = 0; i < count && status == 0; i++)
		status = visit_file(login, given ? host->identities[i] : usual[i], rsa, err);
	return status;
}

/* With identities_only, a key in the agent counts if its public half lies beside an identity. */
static bool is_wanted(const struct host *host, const struct libssh2_agent_publickey *key)
{
	bool wanted = !host->identities_only;
	char *blob = ssh_base64(key->blob, key->blob_len);

	for (size_t i = 0; i < host->identity_count && !wanted; i++) {
		char *path = xasprintf("%s.pub", host->identities[i]);
		struct buf text = { 0 };
		struct error ignored;

		wanted = file_exists(path) && file_read(&text, path, KEY_BYTES, &ignored) == 0 &&
			 strstr(buf_text(&text), blob);
		buf_release(&text);
		free(path);
	}
	free(blob);
	return wanted;
}

static bool is_rsa(const struct libssh2_agent_publickey *key)
{
	return key->blob_len > 11 && memcmp(key->blob + 4, "ssh-rsa", 7) == 0;
}

static int try_agent_keys(struct login *login, LIBSSH2_AGENT *agent, bool rsa, struct error *err)
{
	struct libssh2_agent_publickey *key = NULL, *previous = NULL;
	const struct host *host = login->ssh->host;
	unsigned refused = 0;
	int rc = LIBSSH2_ERROR_AUTHENTICATION_FAILED;

	while (rc != 0 && libssh2_agent_get_identity(agent, &key, previous) == 0) {
		previous = key;
		if (is_rsa(key) != rsa || !is_wanted(host, key))
			continue;
		while ((rc = libssh2_agent_userauth(agent, host->user, key)) ==
		       LIBSSH2_ERROR_EAGAIN)
			if (ssh_settle(login->ssh, "logging in with the agent", err) < 0)
				return -1;
		if (login->ssh->lost[0])
			return error_set(err,
					 "%s after %u of the agent's keys; too many? see "
					 "'identities_only'",
					 login->ssh->lost, refused + 1);
		refused += rc != 0;
		login->rsa_refused |= rsa && rc != 0;
	}
	if (rc == 0)
		return 1;
	if (refused) {
		char *outcome = xasprintf("%u %skey%s refused", refused, rsa ? "RSA " : "",
					  refused == 1 ? "" : "s");

		note(login, "agent", outcome);
		free(outcome);
	}
	return 0;
}

static int try_agent(struct login *login, bool rsa, struct error *err)
{
	LIBSSH2_AGENT *agent;
	int status = 0;

	if (!getenv("SSH_AUTH_SOCK"))
		return 0;
	agent = libssh2_agent_init(login->ssh->session);
	if (!agent)
		return 0;
	if (libssh2_agent_connect(agent) == 0) {
		if (libssh2_agent_list_identities(agent) == 0)
			status = try_agent_keys(login, agent, rsa, err);
		libssh2_agent_disconnect(agent);
	} else if (!rsa) {
		note(login, "agent", "does not answer");
	}
	libssh2_agent_free(agent);
	return status;
}

static int refuse(struct login *login, struct error *err)
{
	const struct host *host = login->ssh->host;
	struct buf text = { 0 };

	buf_addf(&text, "permission denied for user '%s'", host->user);
	if (login->tried.length)
		buf_addf(&text, " (tried %s)", buf_text(&login->tried));
	else
		buf_addf(&text, " (no key to try: neither an agent's nor in ~/.ssh)");
	if (login->rsa_refused && !libssh2_version(0x010b00))
		buf_addf(&text,
			 "; the RSA key may be fine: libssh2 %s signs with it in a way that newer "
			 "servers refuse; use another one: ssh-keygen -t ed25519",
			 LIBSSH2_VERSION);
	if (login->encrypted)
		buf_addf(&text, "; unlock the key with: ssh-add %s", login->encrypted);
	else if (!login->tried.length)
		buf_addf(&text, "; make one with: ssh-keygen -t ed25519 && ssh-copy-id -p %u %s@%s",
			 (unsigned)host->port, host->user, host->address);
	else
		buf_addf(&text, "; see what ssh says: ssh -v -p %u %s@%s", (unsigned)host->port,
			 host->user, host->address);
	error_set(err, "%s", buf_text(&text));
	buf_release(&text);
	return -1;
}

/* Asks what the server takes, which for a few is nothing at all. */
static int offer(struct ssh *ssh, bool *done, struct error *err)
{
	const char *user = ssh->host->user;
	const char *methods;

	while (!(methods = libssh2_userauth_list(ssh->session, user, (unsigned)strlen(user))) &&
	       libssh2_session_last_errno(ssh->session) == LIBSSH2_ERROR_EAGAIN)
		if (ssh_settle(ssh, "logging in", err) < 0)
			return -1;
	*done = !methods && libssh2_userauth_authenticated(ssh->session);
	if (*done)
		return 0;
	if (!methods)
		return error_set(err, "cannot log in as '%s': %s", user, ssh_reason(ssh));
	if (!strstr(methods, "publickey"))
		return error_set(err,
				 "the server takes no keys, only %s; allow PubkeyAuthentication "
				 "in its sshd_config",
				 methods);
	return 0;
}

int ssh_log_in(struct ssh *ssh, struct error *err)
{
	struct login login = { .ssh = ssh };
	bool done = false;
	int status = offer(ssh, &done, err);

	/* RSA keys come last: this libssh2 may not be able to use them, and tries are limited. */
	for (int rsa = 0; rsa < 2 && status == 0 && !done; rsa++) {
		status = try_agent(&login, rsa, err);
		if (status == 0)
			status = try_files(&login, rsa, err);
		done = status > 0;
	}
	if (status == 0 && !done)
		status = refuse(&login, err);
	buf_release(&login.tried);
	free(login.encrypted);
	return status < 0 ? -1 : 0;
}
