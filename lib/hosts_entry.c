/* One entry of a hosts file or of an inline form: ranges, options, ssh_config and defaults. */
#include "lib/hosts_entry.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/hosts.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "lib/ssh_config.h"
#include "lib/units.h"

enum { RANGE_HOSTS = 10000, MOST_HOSTS = 65535, PROBLEMS_TOLD = 100 };

struct host_options {
	bool local, identities_only;
	char *address, *user, *network, *data_addr, *proxy_jump, *host_key, *host_key_alias, *group;
	size_t port, slots;
	int host_key_check;
	double connect_timeout_s;
};

static const char *const check_words[] = {
	[HOST_KEY_STRICT] = "strict",
	[HOST_KEY_ACCEPT_NEW] = "accept-new",
	[HOST_KEY_NO_CHECK] = "no",
	NULL,
};

#define AT(field) offsetof(struct host_options, field)

static const struct opt host_table[] = {
	{ "local", OPT_BOOL, AT(local), "no", "this machine, without SSH" },
	{ "address", OPT_TEXT, AT(address), "", "name or number to dial, if not the host's name" },
	{ "port", OPT_COUNT, AT(port), "22", "of the SSH server", .min = 1, .max = 65535 },
	{ "user", OPT_TEXT, AT(user), "", "to log in as; your own name by default" },
	{ "slots", OPT_COUNT, AT(slots), "1", "workers to start there", .min = 1, .max = 4096 },
	{ "network", OPT_TEXT, AT(network), "", "bind within this network, as in 10.0.0.0/24" },
	{ "data_addr", OPT_TEXT, AT(data_addr), "", "bind exactly this address" },
	{ "proxy_jump", OPT_TEXT, AT(proxy_jump), "", "reach it through user@host:port[,...]" },
	{ "host_key", OPT_TEXT, AT(host_key), "", "its key: ssh-ed25519 AAAA... or SHA256:..." },
	{ "host_key_alias", OPT_TEXT, AT(host_key_alias), "", "its name in known_hosts" },
	{ "host_key_check", OPT_CHOICE, AT(host_key_check), "strict", "what to do with new keys",
	  .choices = check_words },
	{ "identities_only", OPT_BOOL, AT(identities_only), "no", "do not offer the agent's keys" },
	{ "connect_timeout", OPT_SECONDS, AT(connect_timeout_s), "10s", "until logged in",
	  .min = 0.1, .max = 3600 },
	{ "group", OPT_TEXT, AT(group), "", "site or rack" },
	{ 0 },
};

/* Read by hand: one text or a list of them, and names of the user's own. */
static const char *const other_keys[] = { "identity", "known_hosts", "env" };

/* What "node[01-08].site" stands for. */
struct names {
	char **items;
	size_t count;
};

static void names_release(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct names){ 0 };
}

static void names_add(struct names *names, char *owned)
{
	names->items = xgrow(names->items, names->count, sizeof(*names->items));
	names->items[names->count++] = owned;
}

/* "01-08]" and what follows it. */
static int expand_range(struct names *out, const char *text, size_t before, struct error *err)
{
	const char *range = text + before + 1;
	size_t digits = strspn(range, "0123456789");
	size_t more = range[digits] == '-' ? strspn(range + digits + 1, "0123456789") : 0;
	const char *after = range + digits + 1 + more;
	uint64_t first, last;
	char *low, *high;
	int status;

	if (digits == 0 || more == 0 || *after != ']' || strchr(after, '['))
		return error_set(err, "'%s' has no range such as [01-08]", text);
	low = xstrndup(range, digits);
	high = xstrndup(range + digits + 1, more);
	status = units_count(&first, low, err) < 0 || units_count(&last, high, err) < 0 ? -1 : 0;
	free(low);
	free(high);
	if (status < 0)
		return -1;
	if (first > last || last - first >= RANGE_HOSTS)
		return error_set(err, "the range in '%s' is empty or larger than %d", text,
				 RANGE_HOSTS);
	for (uint64_t i = first; i <= last; i++)
		names_add(out, xasprintf("%.*s%0*llu%s", (int)before, text, (int)digits,
					 (unsigned long long)i, after + 1));
	return 0;
}

/* One name if there is no range. */
static int names_expand(struct names *out, const char *text, struct error *err)
{
	size_t before = strcspn(text, "[");

	if (text[before])
		return expand_range(out, text, before, err);
	names_add(out, xstrdup(text));
	return 0;
}

static void add_text(char ***list, size_t *count, char *owned)
{
	*list = xrealloc(*list, *count + 1, sizeof(**list));
	(*list)[(*count)++] = owned;
}

/* The values of a text or list setting, "~" expanded, "none" left out. */
static void take_paths(struct settings *given, const char *key, char ***list, size_t *count)
{
	struct setting *entry = settings_find(given, key);

	for (size_t i = 0; entry && i < entry->count; i++)
		if (strcmp(entry->values[i], "none") != 0)
			add_text(list, count, ssh_expand_home(entry->values[i]));
}

static bool is_variable(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";

	return *name && strchr(letters, *name) &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") ==
		       strlen(name);
}

static void take_env(struct settings *given, struct host *host, struct problems *problems)
{
	for (size_t i = 0; i < given->count; i++) {
		struct setting *entry = &given->entries[i];
		const char *name = entry->key + strlen("env.");

		if (strncmp(entry->key, "env.", strlen("env.")) != 0)
			continue;
		if (!is_variable(name) || entry->kind != SETTING_SCALAR)
			problems_add(problems, entry->place,
				     "env: '%s' is not a variable with a text", name);
		else if (strpbrk(entry->values[0], "'\"`$\\!\n"))
			problems_add(
				problems, entry->value_place,
				"env: the value of '%s' must do without quotes, $, `, !, \\ and "
				"line ends",
				name);
		else
			add_text(&host->env, &host->env_count,
				 xasprintf("%s=%s", name, entry->values[0]));
	}
}

static bool is_address(const char *text)
{
	unsigned char room[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, room) == 1 || inet_pton(AF_INET6, text, room) == 1;
}

static bool is_network(const char *text)
{
	const char *slash = strchr(text, '/');
	char *address = xstrndup(text, slash ? (size_t)(slash - text) : 0);
	bool wide = strchr(address, ':') != NULL;
	struct error ignored;
	uint64_t bits;
	bool fine = slash && is_address(address) && units_count(&bits, slash + 1, &ignored) == 0 &&
		    bits <= (wide ? 128 : 32);

	free(address);
	return fine;
}

static void report(struct problems *problems, const struct settings *given, const char *key,
		   const char *reason, const char *value)
{
	const struct setting *entry = settings_find(given, key);
	struct place nowhere = { .file = "hosts" };

	problems_add(problems, entry ? entry->value_place : nowhere, "%s: '%s' %s", key, value,
		     reason);
}

static void check_texts(const struct host_options *options, const struct settings *given,
			struct problems *problems)
{
	const char *key = options->host_key;

	if (options->network && !is_network(options->network))
		report(problems, given, "network", "is not a network such as 10.0.0.0/24",
		       options->network);
	if (key && strncmp(key, "SHA256:", 7) != 0 && !strchr(key, ' '))
		report(problems, given, "host_key",
		       "is neither 'TYPE BASE64' as in known_hosts nor 'SHA256:...'", key);
}

/* Identities, known hosts and variables; the table's rows see to the other texts. */
static void take_other(struct setting *entry, struct problems *problems)
{
	if (strcmp(entry->key, "identity") != 0 && strcmp(entry->key, "known_hosts") != 0 &&
	    strncmp(entry->key, "env.", 4) != 0)
		return;
	entry->used = true;
	for (size_t i = 0; i < entry->count; i++)
		if (!setting_is_text(entry->values[i]))
			problems_add(problems, entry->value_place,
				     "%s: the text has a control character in it", entry->key);
}

/* What the settings say, whether they came from the file or from ssh_config. */
static void read_options(struct host_options *options, struct host *host, struct settings *given,
			 struct problems *problems)
{
	struct settings known = { 0 };
	struct place nowhere = { .file = "hosts" };

	opt_read(host_table, given, "", options, &known, problems);
	for (size_t i = 0; i < ARRAY_SIZE(other_keys); i++)
		settings_add(&known, other_keys[i], SETTING_SECTION, nowhere);
	for (size_t i = 0; i < given->count; i++)
		take_other(&given->entries[i], problems);
	settings_report_unused(given, &known, problems);
	settings_release(&known);
	check_texts(options, given, problems);
	take_env(given, host, problems);
	take_paths(given, "identity", &host->identities, &host->identity_count);
	take_paths(given, "known_hosts", &host->known_hosts, &host->known_hosts_count);
}

static char *take(char **text)
{
	char *taken = *text;

	*text = NULL;
	return taken;
}

static void fill(struct host *host, struct host_options *options)
{
	host->local = options->local;
	host->slots = options->slots;
	host->network = take(&options->network);
	host->data_addr = take(&options->data_addr);
	host->group = take(&options->group);
	if (host->local)
		return;
	host->address = options->address ? take(&options->address) : xstrdup(host->name);
	host->user = options->user ? take(&options->user) : ssh_login_name();
	host->port = (uint16_t)options->port;
	host->identities_only = options->identities_only;
	host->host_key_alias = take(&options->host_key_alias);
	host->host_key = take(&options->host_key);
	host->host_key_check = (enum host_key_check)options->host_key_check;
	host->connect_timeout_s = options->connect_timeout_s;
	if (options->proxy_jump && strcmp(options->proxy_jump, "none") != 0)
		host->proxy_jump = take(&options->proxy_jump);
}

/* Settings of `from` that `to` does not have. */
static void inherit(struct settings *to, const struct settings *from)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct setting *entry = &from->entries[i];

		if (!settings_find(to, entry->key))
			settings_copy(to, entry->key, entry);
	}
}

static const char *scalar(const struct settings *given, const char *key)
{
	const struct setting *entry = settings_find(given, key);

	return entry && entry->kind == SETTING_SCALAR ? entry->values[0] : NULL;
}

static bool is_name(const char *name)
{
	return name[0] && name[0] != '-' &&
	       strspn(name,
		      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:%") ==
		       strlen(name);
}

/* Lines that are there already are not said again: ranges and defaults would repeat them. Nobody
 * reads more than the first ones. */
static void merge_problems(struct problems *all, const struct problems *found)
{
	const char *next = buf_text(&found->text);

	while (*next) {
		size_t length = strcspn(next, "\n") + 1;
		char *line = xstrndup(next, length);

		if (all->count < PROBLEMS_TOLD && !strstr(buf_text(&all->text), line)) {
			buf_addf(&all->text, "%s", line);
			all->count++;
		}
		free(line);
		next += length;
	}
}

/* Where the name's number is in the index, or has to go; FNV-1a. */
static size_t *find_name(const struct hosts *hosts, const char *name)
{
	uint64_t hash = 14695981039346656037u;
	size_t *slot;

	for (const char *at = name; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 1099511628211u;
	for (;; hash++) {
		slot = &hosts->index[hash & (hosts->index_size - 1)];
		if (*slot == 0 || strcmp(hosts->entries[*slot - 1].name, name) == 0)
			return slot;
	}
}

/* At least half of it is empty. */
static void grow_index(struct hosts *hosts)
{
	if (hosts->count < hosts->index_size / 2)
		return;
	free(hosts->index);
	hosts->index_size = hosts->index_size ? 2 * hosts->index_size : 64;
	hosts->index = xcalloc(hosts->index_size, sizeof(*hosts->index));
	for (size_t i = 0; i < hosts->count; i++)
		*find_name(hosts, hosts->entries[i].name) = i + 1;
}

static void check_new(struct hosts *hosts, const char *name, struct place place,
		      struct problems *problems)
{
	size_t *slot;

	if (!is_name(name))
		problems_add(problems, place, "'%s' is not a host name", name);
	grow_index(hosts);
	slot = find_name(hosts, name);
	if (*slot)
		problems_add(problems, place, "duplicate host '%s'", name);
	else
		*slot = hosts->count + 1; /* it is about to be added */
}

/* One host whose ranges are already taken apart. */
static void add_one(struct hosts *hosts, const char *name, struct place place,
		    struct settings *given, struct problems *problems)
{
	struct problems found = { 0 };
	struct host_options options = { 0 };
	struct ssh_config config = { 0 };
	struct host host = { .name = xstrdup(name) };
	const char *local = scalar(given, "local");
	struct error err;

	check_new(hosts, name, place, &found);
	if (!local || strcmp(local, "yes") != 0) {
		if (ssh_config_read(&config, name, scalar(given, "user"), &err) < 0)
			problems_add(&found, place, "%s", err.text);
		inherit(given, &config.settings);
	}
	read_options(&options, &host, given, &found);
	if (options.data_addr && !is_address(options.data_addr))
		report(&found, given, "data_addr", "is not a numeric address", options.data_addr);
	merge_problems(problems, &found);
	fill(&host, &options);
	hosts->entries = xgrow(hosts->entries, hosts->count, sizeof(*hosts->entries));
	hosts->entries[hosts->count++] = host;
	opt_release(host_table, &options);
	problems_release(&found);
	ssh_config_release(&config);
}

/* A range in an address goes along with the one in the name; no items: it has none. */
static int expand_value(struct names *out, const struct settings *given, const char *key,
			size_t count, struct error *err)
{
	const char *text = scalar(given, key);

	if (!text || !strchr(text, '['))
		return 0;
	if (names_expand(out, text, err) < 0)
		return -1;
	if (out->count == count)
		return 0;
	return error_set(err, "'%s' gives %zu for %zu host%s", text, out->count, count,
			 count == 1 ? "" : "s");
}

static void pick(struct settings *one, const char *key, const struct names *values, size_t i)
{
	struct setting *entry = values->count ? settings_find(one, key) : NULL;

	if (!entry)
		return;
	free(entry->values[0]);
	entry->values[0] = xstrdup(values->items[i]);
}

/* The hosts that one entry stands for, each with its own of the addresses. */
static int add_named(struct hosts *hosts, const struct names *names, struct place place,
		     const struct settings *given, struct problems *problems, struct error *err)
{
	struct names addresses = { 0 }, data_addrs = { 0 };
	int status = 0;

	if (names->count > MOST_HOSTS - hosts->count)
		status = error_set(err, "more than %d hosts; that is all that dstrain can number",
				   MOST_HOSTS);
	else if (expand_value(&addresses, given, "address", names->count, err) < 0 ||
		 expand_value(&data_addrs, given, "data_addr", names->count, err) < 0)
		status = -1;
	for (size_t i = 0; i < names->count && status == 0; i++) {
		struct settings one = { 0 };

		inherit(&one, given);
		pick(&one, "address", &addresses, i);
		pick(&one, "data_addr", &data_addrs, i);
		add_one(hosts, names->items[i], place, &one, problems);
		settings_release(&one);
	}
	names_release(&addresses);
	names_release(&data_addrs);
	return status;
}

void hosts_add(struct hosts *hosts, const char *name, struct place place, struct settings *given,
	       struct problems *problems)
{
	const char *at = strrchr(name, '@');
	struct problems found = { 0 };
	struct names names = { 0 };
	struct error err;

	if (at && !settings_find(given, "user")) {
		struct setting *user = settings_add(given, "user", SETTING_SCALAR, place);

		setting_add_value(user, name, (size_t)(at - name));
	}
	if (names_expand(&names, at ? at + 1 : name, &err) < 0 ||
	    add_named(hosts, &names, place, given, problems, &err) < 0) {
		problems_add(&found, place, "%s", err.text);
		merge_problems(problems, &found);
	}
	problems_release(&found);
	names_release(&names);
}
