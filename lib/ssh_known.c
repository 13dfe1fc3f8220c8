/* Whether a host's key is the one that known_hosts, or the hosts file, says. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libssh2.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/ssh_config.h"
#include "lib/ssh_session.h"

enum { KNOWN_BYTES = 16 << 20 };

/* A line of a known_hosts file that speaks of our host. */
struct known_key {
	char *type, *key; /* "ssh-ed25519", base64 */
	char *file;
	int line;
	bool revoked;
};

struct known_keys {
	struct known_key *entries;
	size_t count;
};

/* The key that the server showed. */
struct shown_key {
	char *type, *key;  /* as above */
	char *fingerprint; /* "SHA256:..." */
};

char *ssh_base64(const void *bytes, size_t length)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = bytes;
	char *text = xmalloc((length + 2) / 3 * 4 + 1), *out = text;

	for (size_t i = 0; i < length; i += 3) {
		unsigned second = i + 1 < length ? in[i + 1] : 0;
		unsigned third = i + 2 < length ? in[i + 2] : 0;
		unsigned all = (unsigned)in[i] << 16 | second << 8 | third;

		*out++ = digits[all >> 18];
		*out++ = digits[all >> 12 & 63];
		*out++ = i + 1 < length ? digits[all >> 6 & 63] : '=';
		*out++ = i + 2 < length ? digits[all & 63] : '=';
	}
	*out = '\0';
	return text;
}

/* The name that known_hosts has for it. */
static char *known_name(const struct host *host)
{
	if (host->host_key_alias)
		return xstrdup(host->host_key_alias);
	if (host->port == 22)
		return xstrdup(host->address);
	return xasprintf("[%s]:%u", host->address, (unsigned)host->port);
}

static bool hashed_matches(struct ssh *ssh, const char *hosts, const char *type, const char *key,
			   const char *name)
{
	LIBSSH2_KNOWNHOSTS *one = libssh2_knownhost_init(ssh->session);
	char *line = xasprintf("%s %s %s\n", hosts, type, key);
	struct libssh2_knownhost *store;
	bool matched = false;

	if (one && libssh2_knownhost_readline(one, line, strlen(line),
					      LIBSSH2_KNOWNHOST_FILE_OPENSSH) == 0)
		matched = libssh2_knownhost_checkp(one, name, -1, key, strlen(key),
						   LIBSSH2_KNOWNHOST_TYPE_PLAIN |
							   LIBSSH2_KNOWNHOST_KEYENC_BASE64,
						   &store) < LIBSSH2_KNOWNHOST_CHECK_NOTFOUND;
	if (one)
		libssh2_knownhost_free(one);
	free(line);
	return matched;
}

/* "a,*.b,!c.b" */
static bool patterns_match(char *patterns, const char *name)
{
	char *rest = NULL;
	bool matched = false;

	for (char *one = strtok_r(patterns, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
		if (!ssh_pattern_match(one + (*one == '!'), name))
			continue;
		if (*one == '!')
			return false;
		matched = true;
	}
	return matched;
}

static void read_known_line(struct ssh *ssh, char *text, const char *name, struct known_key place,
			    struct known_keys *out)
{
	char *rest = NULL, *hosts = strtok_r(text, " \t\r", &rest), *type, *key;

	if (!hosts || hosts[0] == '#' || strcmp(hosts, "@cert-authority") == 0)
		return;
	if (strcmp(hosts, "@revoked") == 0) {
		place.revoked = true;
		hosts = strtok_r(NULL, " \t\r", &rest);
	}
	type = strtok_r(NULL, " \t\r", &rest);
	key = strtok_r(NULL, " \t\r", &rest);
	if (!hosts || !type || !key)
		return;
	if (hosts[0] == '|' ? !hashed_matches(ssh, hosts, type, key, name)
			    : !patterns_match(hosts, name))
		return;
	place.type = xstrdup(type);
	place.key = xstrdup(key);
	place.file = xstrdup(place.file);
	out->entries = xrealloc(out->entries, out->count + 1, sizeof(*out->entries));
	out->entries[out->count++] = place;
}

static void read_known_file(struct ssh *ssh, const char *path, const char *name,
			    struct known_keys *out)
{
	char *full = ssh_expand_home(path);
	struct known_key place = { .file = full };
	struct buf text = { 0 };
	struct error err;
	char *next;

	if (file_exists(full) && file_read(&text, full, KNOWN_BYTES, &err) < 0)
		log_warn("%s", err.text);
	for (next = text.data; next && *next;) {
		char *end = next + strcspn(next, "\n");
		char *following = *end ? end + 1 : end;

		*end = '\0';
		place.line++;
		read_known_line(ssh, next, name, place, out);
		next = following;
	}
	buf_release(&text);
	free(full);
}

static void find_known(struct ssh *ssh, const char *name, struct known_keys *out)
{
	static const char *const own[] = { "~/.ssh/known_hosts", "~/.ssh/known_hosts2" };
	static const char *const global[] = { "/etc/ssh/ssh_known_hosts",
					      "/etc/ssh/ssh_known_hosts2" };
	const struct host *host = ssh->host;

	for (size_t i = 0; i < host->known_hosts_count; i++)
		read_known_file(ssh, host->known_hosts[i], name, out);
	for (size_t i = 0; host->known_hosts_count == 0 && i < ARRAY_SIZE(own); i++)
		read_known_file(ssh, own[i], name, out);
	for (size_t i = 0; i < ARRAY_SIZE(global); i++)
		read_known_file(ssh, global[i], name, out);
}

static void known_keys_release(struct known_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++) {
		free(keys->entries[i].type);
		free(keys->entries[i].key);
		free(keys->entries[i].file);
	}
	free(keys->entries);
	*keys = (struct known_keys){ 0 };
}

/* What libssh2 can do and `list` does not have. It must not be asked for more: 1.10 copies the list
 * over itself while it takes the unknown ones out. */
static void prefer(struct buf *list, const char *algorithm, const char **able, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(able[i], algorithm) == 0 && !strstr(buf_text(list), algorithm))
			buf_addf(list, "%s%s", list->length ? "," : "", algorithm);
}

/* A key of type ssh-rsa can sign in three ways. */
static void prefer_type(struct buf *list, const char *type, const char **able, int count)
{
	if (strcmp(type, "ssh-rsa") == 0) {
		prefer(list, "rsa-sha2-512", able, count);
		prefer(list, "rsa-sha2-256", able, count);
	}
	prefer(list, type, able, count);
}

void ssh_prefer_known_keys(struct ssh *ssh)
{
	static const char *const rest[] = { "ssh-ed25519", "ecdsa-sha2-nistp256",
					    "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
					    "ssh-rsa" };
	const char *pin = ssh->host->host_key;
	struct known_keys keys = { 0 };
	struct buf list = { 0 };
	char *name = known_name(ssh->host);
	char *pinned = pin && strchr(pin, ' ') ? xstrndup(pin, strcspn(pin, " ")) : NULL;
	const char **able = NULL;
	int count = libssh2_session_supported_algs(ssh->session, LIBSSH2_METHOD_HOSTKEY, &able);

	if (pinned)
		prefer_type(&list, pinned, able, count);
	find_known(ssh, name, &keys);
	for (size_t i = 0; i < keys.count; i++)
		if (!keys.entries[i].revoked)
			prefer_type(&list, keys.entries[i].type, able, count);
	for (size_t i = 0; i < ARRAY_SIZE(rest); i++)
		prefer_type(&list, rest[i], able, count);
	if (list.length)
		libssh2_session_method_pref(ssh->session, LIBSSH2_METHOD_HOSTKEY, list.data);
	if (able)
		libssh2_free(ssh->session, (void *)(size_t)able);
	known_keys_release(&keys);
	buf_release(&list);
	free(pinned);
	free(name);
}

static int read_shown(struct ssh *ssh, struct shown_key *shown, struct error *err)
{
	size_t length = 0;
	int kind;
	const unsigned char *blob =
		(const unsigned char *)libssh2_session_hostkey(ssh->session, &length, &kind);
	const char *hash = libssh2_hostkey_hash(ssh->session, LIBSSH2_HOSTKEY_HASH_SHA256);
	size_t type;
	char *digest;

	if (!blob || length < 4 || !hash)
		return error_set(err, "the server showed no host key");
	type = (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];
	if (type > length - 4)
		return error_set(err, "the server showed a malformed host key");
	digest = ssh_base64(hash, 32);
	digest[strcspn(digest, "=")] = '\0';
	shown->type = xstrndup((const char *)blob + 4, type);
	shown->key = ssh_base64(blob, length);
	shown->fingerprint = xasprintf("SHA256:%s", digest);
	free(digest);
	return 0;
}

static int check_pin(const char *pin, const struct shown_key *shown, struct error *err)
{
	const char *blank = strchr(pin, ' ');
	const char *wanted = blank ? blank + strspn(blank, " ") : pin;
	const char *is = blank ? shown->key : shown->fingerprint;
	size_t length = strcspn(wanted, " =");

	if (strcspn(is, "=") == length && strncmp(wanted, is, length) == 0)
		return 0;
	return error_set(err,
			 "its host key is %s %s, not the one that 'host_key' pins; if the host was "
			 "reinstalled, change 'host_key' to that fingerprint",
			 shown->type, shown->fingerprint);
}

static int say_changed(const struct known_key *known, const char *name,
		       const struct shown_key *shown, struct error *err)
{
	return error_set(err,
			 "its host key has CHANGED: it is %s %s now, not what '%s' line %d says; "
			 "somebody may be listening in; if the host was reinstalled, forget the "
			 "old key with: ssh-keygen -f '%s' -R '%s'",
			 shown->type, shown->fingerprint, known->file, known->line, known->file,
			 name);
}

/* As a shell takes it; "~/" is left for the shell to expand. */
static char *quoted_path(const char *path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._-+:@,%=";
	bool home = strncmp(path, "~/", 2) == 0;

	const char *rest = home ? path + 2 : path;

	if (rest[strspn(rest, plain)] == '\0' || strchr(rest, '\''))
		return xstrdup(path);
	return xasprintf("%s'%s'", home ? "~/" : "", rest);
}

/* The command that would accept the key. */
static char *accept_command(const struct host *host, const struct shown_key *shown,
			    const char *file)
{
	const char *kind = strstr(shown->type, "ed25519") ? "ed25519"
			   : strstr(shown->type, "ecdsa") ? "ecdsa"
							  : "rsa";
	char *rename, *command, *quoted;

	if (host->proxy_jump)
		return xasprintf("ssh -o StrictHostKeyChecking=accept-new -J %s -p %u %s@%s true",
				 host->proxy_jump, (unsigned)host->port, host->user, host->address);
	rename = host->host_key_alias ? xasprintf(" | sed 's/^[^ ]*/%s/'", host->host_key_alias)
				      : xstrdup("");
	quoted = quoted_path(file);
	command = xasprintf("ssh-keyscan -t %s -p %u %s%s >> %s", kind, (unsigned)host->port,
			    host->address, rename, quoted);
	free(quoted);
	free(rename);
	return command;
}

static int say_unknown(const struct host *host, const struct shown_key *shown,
		       const struct known_keys *others, const char *file, struct error *err)
{
	char *command = accept_command(host, shown, file);

	error_set(err,
		  "its host key is not known%s%s: %s %s; if that is its fingerprint, accept it "
		  "with: %s",
		  others->count ? ", other than as " : "",
		  others->count ? others->entries[0].type : "", shown->type, shown->fingerprint,
		  command);
	free(command);
	return -1;
}

/* Adds the line with a single write, so that hosts connected to at the same time do not mix. */
static int add_known(const char *path, const char *name, const struct shown_key *shown,
		     struct error *err)
{
	char *full = ssh_expand_home(path), *slash = strrchr(full, '/');
	char *dir = slash && slash != full ? xstrndup(full, (size_t)(slash - full)) : xstrdup(".");
	char *line, last = '\n';
	int status = file_exists(dir) ? 0 : dir_make(dir, err);
	int fd = status == 0 ? open(full, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;

	if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
		last = '\n';
	line = xasprintf("%s%s %s %s\n", last == '\n' ? "" : "\n", name, shown->type, shown->key);
	if (status == 0 && (fd < 0 || file_write_all(fd, line, strlen(line)) < 0))
		status = error_set(err, "cannot write '%s': %s", full, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(line);
	free(dir);
	free(full);
	return status;
}

enum verdict { KEY_UNKNOWN, KEY_KNOWN, KEY_CHANGED, KEY_REVOKED };

/* *which: the line that decided. */
static enum verdict judge(const struct known_keys *keys, const struct shown_key *shown,
			  const struct known_key **which)
{
	enum verdict verdict = KEY_UNKNOWN;

	for (size_t i = 0; i < keys->count; i++) {
		const struct known_key *known = &keys->entries[i];
		bool same = strcmp(known->key, shown->key) == 0;

		if (same && known->revoked) {
			*which = known;
			return KEY_REVOKED;
		}
		if (known->revoked || verdict == KEY_KNOWN)
			continue;
		if (same) {
			verdict = KEY_KNOWN;
		} else if (strcmp(known->type, shown->type) == 0) {
			verdict = KEY_CHANGED;
			*which = known;
		}
	}
	return verdict;
}

static int check_known(struct ssh *ssh, const struct shown_key *shown, struct error *err)
{
	const struct host *host = ssh->host;
	const char *file = host->known_hosts_count ? host->known_hosts[0] : "~/.ssh/known_hosts";
	const struct known_key *which = NULL;
	char *name = known_name(host);
	struct known_keys keys = { 0 }, plain = { 0 };
	enum verdict verdict;
	int status = 0;

	find_known(ssh, name, &keys);
	verdict = judge(&keys, shown, &which);
	if (verdict == KEY_UNKNOWN && strcmp(name, host->address) != 0 && !host->host_key_alias) {
		/* As ssh does: on another port, the same key under the plain name will do. */
		find_known(ssh, host->address, &plain);
		if (judge(&plain, shown, &which) == KEY_KNOWN)
			verdict = KEY_KNOWN;
	}
	if (verdict == KEY_REVOKED)
		status = error_set(err, "its host key %s is revoked in '%s' line %d",
				   shown->fingerprint, which->file, which->line);
	else if (verdict == KEY_CHANGED)
		status = say_changed(which, name, shown, err);
	else if (verdict == KEY_UNKNOWN && host->host_key_check == HOST_KEY_STRICT)
		status = say_unknown(host, shown, &keys, file, err);
	else if (verdict == KEY_UNKNOWN)
		status = add_known(file, name, shown, err);
	known_keys_release(&keys);
	known_keys_release(&plain);
	free(name);
	return status;
}

int ssh_check_host_key(struct ssh *ssh, struct error *err)
{
	struct shown_key shown = { 0 };
	int status = 0;

	if (ssh->host->host_key_check == HOST_KEY_NO_CHECK && !ssh->host->host_key)
		return 0;
	status = read_shown(ssh, &shown, err);
	if (status == 0 && ssh->host->host_key)
		status = check_pin(ssh->host->host_key, &shown, err);
	else if (status == 0)
		status = check_known(ssh, &shown, err);
	free(shown.type);
	free(shown.key);
	free(shown.fingerprint);
	return status;
}
