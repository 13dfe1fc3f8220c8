/* Where to train: hosts from a YAML file, an MPI host file, "a:4,b:4" or "local:N". */
#include "lib/hosts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts_entry.h"
#include "lib/memory.h"
#include "lib/setting.h"

/* A spec that is meant as a file is never taken for a host, even where the file is missing. */
static bool is_path(const char *spec)
{
	static const char *const ends[] = { ".yaml", ".yml", ".txt", ".hosts", ".conf" };
	static const char *const names[] = { "hosts", "hostfile", "hostlist", "machinefile" };
	size_t length = strlen(spec);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (length > strlen(ends[i]) &&
		    strcmp(spec + length - strlen(ends[i]), ends[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(spec, names[i]) == 0)
			return true;
	return strchr(spec, '/') || file_exists(spec);
}

/* "aa", "user@aa", "aa:4", "node[1-4]:2", "local:4"; `what` follows the colon. */
static void add_inline(struct hosts *hosts, const char *item, const char *what, struct place place,
		       struct problems *problems)
{
	const char *colon = strrchr(item, ':');
	char *name = xstrndup(item, colon ? (size_t)(colon - item) : strlen(item));
	struct settings given = { 0 };

	if (colon)
		settings_set(&given, what, colon + 1, place);
	if (strcmp(name, "local") == 0 && strcmp(what, "slots") == 0)
		settings_set(&given, "local", "yes", place);
	hosts_add(hosts, name, place, &given, problems);
	settings_release(&given);
	free(name);
}

/* An inline form is short: the first problem is the error. */
static int first_problem(struct problems *problems, struct error *err)
{
	const char *text = buf_text(&problems->text);
	int status = 0;

	if (problems->count)
		status = error_set(err, "%.*s", (int)strcspn(text, "\n"), text);
	problems_release(problems);
	return status;
}

static int read_inline(struct hosts *hosts, const char *spec, struct error *err)
{
	char *copy = xstrdup(spec), *next = copy, *label = xasprintf("hosts '%s'", spec);
	struct place place = { .file = label };
	struct problems problems = { 0 };
	int status;

	while (next) {
		char *item = next;

		next = strchr(item, ',');
		if (next)
			*next++ = '\0';
		add_inline(hosts, item, "slots", place, &problems);
	}
	status = first_problem(&problems, err);
	free(copy);
	free(label);
	return status;
}

int hosts_load(struct hosts *out, const char *spec, struct problems *problems, struct error *err)
{
	struct hosts hosts = { 0 };
	struct problems found = { 0 };
	bool local = strcmp(spec, "local") == 0 || strncmp(spec, "local:", 6) == 0;
	int status = !local && is_path(spec) ? hosts_read_file(&hosts, spec, &found, err)
					     : read_inline(&hosts, spec, err);

	if (problems_move(problems, &found, spec, err) < 0)
		status = -1;
	if (status == 0)
		*out = hosts;
	else
		hosts_release(&hosts);
	return status;
}

int host_target(struct host *out, const char *target, struct error *err)
{
	struct hosts one = { 0 };
	struct problems problems = { 0 };
	struct place place = { .file = target };
	int status;

	add_inline(&one, target, "port", place, &problems);
	status = first_problem(&problems, err);
	if (status == 0 && one.count == 1) {
		*out = one.entries[0];
		one.count = 0;
	} else if (status == 0) {
		status = error_set(err, "'%s' is not one host", target);
	}
	hosts_release(&one);
	return status;
}

size_t hosts_slots(const struct hosts *hosts)
{
	size_t slots = 0;

	for (size_t i = 0; i < hosts->count; i++)
		slots += hosts->entries[i].slots;
	return slots;
}

static void print_text(struct buf *out, const char *key, const char *text)
{
	if (!text)
		return;
	buf_addf(out, "    %s: ", key);
	setting_quote(out, text);
	buf_addf(out, "\n");
}

static void print_list(struct buf *out, const char *key, char *const *texts, size_t count)
{
	if (count == 0)
		return;
	buf_addf(out, "    %s: [", key);
	for (size_t i = 0; i < count; i++) {
		buf_addf(out, i ? ", " : "");
		setting_quote(out, texts[i]);
	}
	buf_addf(out, "]\n");
}

static void print_ssh(const struct host *host, struct buf *out)
{
	static const char *const checks[] = { [HOST_KEY_STRICT] = "strict",
					      [HOST_KEY_ACCEPT_NEW] = "accept-new",
					      [HOST_KEY_NO_CHECK] = "no" };

	print_text(out, "address", host->address);
	buf_addf(out, "    port: %u\n", (unsigned)host->port);
	print_text(out, "user", host->user);
	print_list(out, "identity", host->identities, host->identity_count);
	buf_addf(out, "    identities_only: %s\n", host->identities_only ? "yes" : "no");
	print_list(out, "known_hosts", host->known_hosts, host->known_hosts_count);
	print_text(out, "host_key_alias", host->host_key_alias);
	print_text(out, "host_key", host->host_key);
	buf_addf(out, "    host_key_check: %s\n", checks[host->host_key_check]);
	print_text(out, "proxy_jump", host->proxy_jump ? host->proxy_jump : "none");
	buf_addf(out, "    connect_timeout: %.9g\n", host->connect_timeout_s);
}

void hosts_print(const struct hosts *hosts, struct buf *out)
{
	buf_addf(out, "hosts:\n");
	for (size_t i = 0; i < hosts->count; i++) {
		const struct host *host = &hosts->entries[i];

		buf_addf(out, "  - name: ");
		setting_quote(out, host->name);
		buf_addf(out, "\n");
		if (host->local)
			buf_addf(out, "    local: yes\n");
		else
			print_ssh(host, out);
		buf_addf(out, "    slots: %zu\n", host->slots);
		print_text(out, "network", host->network);
		print_text(out, "data_addr", host->data_addr);
		print_text(out, "group", host->group);
		if (host->env_count)
			buf_addf(out, "    env:\n");
		for (size_t j = 0; j < host->env_count; j++) {
			const char *equals = strchr(host->env[j], '=');

			buf_addf(out, "      %.*s: ", (int)(equals - host->env[j]), host->env[j]);
			setting_quote(out, equals + 1);
			buf_addf(out, "\n");
		}
	}
}

bool hosts_remote(const struct hosts *hosts)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (!hosts->entries[i].local)
			return true;
	return false;
}

static void release_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

void host_release(struct host *host)
{
	release_texts(host->identities, host->identity_count);
	release_texts(host->known_hosts, host->known_hosts_count);
	release_texts(host->env, host->env_count);
	free(host->name);
	free(host->address);
	free(host->user);
	free(host->host_key_alias);
	free(host->host_key);
	free(host->proxy_jump);
	free(host->network);
	free(host->data_addr);
	free(host->group);
	*host = (struct host){ 0 };
}

void hosts_release(struct hosts *hosts)
{
	for (size_t i = 0; i < hosts->count; i++)
		host_release(&hosts->entries[i]);
	free(hosts->entries);
	free(hosts->index);
	*hosts = (struct hosts){ 0 };
}
