/* Hosts files: native YAML, and the one-host-a-line form of MPI. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/hosts.h"
#include "lib/hosts_entry.h"
#include "lib/memory.h"
#include "lib/yaml.h"

struct reading {
	struct hosts *hosts;
	const struct settings *all; /* of the file, keys as yaml_read_names gives them */
	struct problems *problems;
};

static bool starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void copy_setting(struct settings *to, const struct setting *from, const char *key)
{
	yaml_show_dots(settings_copy(to, key, from)->key);
}

/* What stands directly at `prefix`, without the hosts and groups there, over what is inherited. */
static struct settings level_settings(const struct reading *r, const char *prefix,
				      const struct settings *inherited)
{
	struct settings own = { 0 };

	for (size_t i = 0; i < r->all->count; i++) {
		const char *key = r->all->entries[i].key;
		const char *rest = key + strlen(prefix);

		if (starts(key, prefix) && strcmp(rest, "hosts") != 0 && !starts(rest, "hosts.") &&
		    strcmp(rest, "groups") != 0 && !starts(rest, "groups."))
			copy_setting(&own, &r->all->entries[i], rest);
	}
	for (size_t i = 0; i < inherited->count; i++)
		if (!settings_find(&own, inherited->entries[i].key))
			copy_setting(&own, &inherited->entries[i], inherited->entries[i].key);
	return own;
}

static void read_host(struct reading *r, const struct setting *entry, const char *component,
		      const struct settings *inherited)
{
	char *prefix = xasprintf("%s.", entry->key);
	char *name = yaml_show_dots(xstrdup(component));
	bool item = strspn(name, "0123456789") == strlen(name);
	struct settings own = level_settings(r, prefix, inherited);
	const struct setting *named = settings_find(&own, "name");

	if (entry->kind == SETTING_SCALAR && item) {
		hosts_add(r->hosts, entry->values[0], entry->value_place, &own, r->problems);
	} else if (entry->kind != SETTING_SECTION) {
		problems_add(r->problems, entry->value_place,
			     "host '%s' needs keys below it, such as 'slots: 4'", name);
	} else if (named && named->kind == SETTING_SCALAR) {
		char *given = xstrdup(named->values[0]);
		struct place place = named->value_place;

		settings_remove(&own, "name");
		hosts_add(r->hosts, given, place, &own, r->problems);
		free(given);
	} else {
		hosts_add(r->hosts, name, entry->place, &own, r->problems);
	}
	settings_release(&own);
	free(name);
	free(prefix);
}

static void read_list(struct reading *r, const struct setting *list,
		      const struct settings *inherited)
{
	struct settings own = { 0 };

	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < inherited->count; j++)
			copy_setting(&own, &inherited->entries[j], inherited->entries[j].key);
		hosts_add(r->hosts, list->values[i], list->value_place, &own, r->problems);
		settings_release(&own);
	}
}

typedef void read_child(struct reading *r, const struct setting *entry, const char *component,
			const struct settings *inherited);

/* Calls back for each entry directly below `section`. */
static void each_child(struct reading *r, const char *section, const struct settings *inherited,
		       read_child *child)
{
	char *prefix = xasprintf("%s.", section);

	for (size_t i = 0; i < r->all->count; i++) {
		const struct setting *entry = &r->all->entries[i];
		const char *component = entry->key + strlen(prefix);

		if (starts(entry->key, prefix) && !strchr(component, '.'))
			child(r, entry, component, inherited);
	}
	free(prefix);
}

static void read_hosts(struct reading *r, const char *key, const struct settings *inherited)
{
	const struct setting *entry = settings_find(r->all, key);

	if (!entry)
		return;
	if (entry->kind == SETTING_LIST)
		read_list(r, entry, inherited);
	else if (entry->kind == SETTING_SCALAR)
		problems_add(r->problems, entry->value_place,
			     "hosts: write one name per line, each with ':' after it");
	else
		each_child(r, key, inherited, read_host);
}

static void read_group(struct reading *r, const struct setting *entry, const char *component,
		       const struct settings *inherited)
{
	char *prefix = xasprintf("%s.", entry->key);
	char *hosts = xasprintf("%s.hosts", entry->key);
	char *name = yaml_show_dots(xstrdup(component));
	struct settings own = level_settings(r, prefix, inherited);

	if (!settings_find(&own, "group"))
		settings_set(&own, "group", name, entry->place);
	if (!settings_find(r->all, hosts))
		problems_add(r->problems, entry->place, "group '%s' has no 'hosts:'", name);
	read_hosts(r, hosts, &own);
	settings_release(&own);
	free(name);
	free(hosts);
	free(prefix);
}

static int read_yaml(struct hosts *hosts, const struct buf *text, const char *path,
		     struct problems *problems, struct error *err)
{
	struct settings all = { 0 }, none = { 0 }, defaults;
	struct reading r = { hosts, &all, problems };
	int status = yaml_read_names(&all, buf_text(text), text->length, path, problems, err);

	if (status == 0) {
		defaults = level_settings(&r, "", &none);
		read_hosts(&r, "hosts", &defaults);
		each_child(&r, "groups", &defaults, read_group);
		settings_release(&defaults);
		if (!settings_find(&all, "hosts") && !settings_find(&all, "groups"))
			problems_add(problems, (struct place){ .file = path },
				     "no 'hosts:' in it; write 'hosts:' and below it one name a "
				     "line, each with ':' after it");
	}
	settings_release(&all);
	return status;
}

/* "slots=2" of an MPI file; what only limits oversubscription there means nothing here. */
static void read_pair(struct settings *given, const char *word, struct place place,
		      struct problems *problems)
{
	const char *equals = strchr(word, '=');
	char *key = xstrndup(word, equals ? (size_t)(equals - word) : 0);

	if (!key[0] || !equals[1])
		problems_add(problems, place, "'%s' is not KEY=VALUE, such as slots=2", word);
	else if (settings_find(given, key))
		problems_add(problems, place, "duplicate key '%s'", key);
	else if (strcmp(key, "max_slots") != 0 && strcmp(key, "max-slots") != 0)
		settings_set(given, key, equals + 1, place);
	free(key);
}

static bool has_one_colon(const char *name)
{
	const char *colon = strchr(name, ':');

	return colon && !strchr(colon + 1, ':');
}

static void read_mpi_line(struct hosts *hosts, char *line, struct place place,
			  struct problems *problems)
{
	struct settings given = { 0 };
	struct place first = place;
	char *name = NULL, *word, *rest = NULL;

	line[strcspn(line, "#")] = '\0';
	for (word = strtok_r(line, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
		place.column = (int)(word - line) + 1;
		if (name) {
			read_pair(&given, word, place, problems);
			continue;
		}
		name = word;
		first = place;
	}
	if (name && has_one_colon(name))
		problems_add(problems, first,
			     "'%s' could mean slots or a port; write '%.*s slots=%s' or "
			     "'%.*s port=%s'",
			     name, (int)strcspn(name, ":"), name, strchr(name, ':') + 1,
			     (int)strcspn(name, ":"), name, strchr(name, ':') + 1);
	else if (name)
		hosts_add(hosts, name, first, &given, problems);
	settings_release(&given);
}

static void read_mpi(struct hosts *hosts, char *text, const char *path, struct problems *problems)
{
	struct place place = { .file = path, .column = 1 };

	while (*text) {
		char *end = text + strcspn(text, "\n");
		char *next = *end ? end + 1 : end;

		*end = '\0';
		place.line++;
		read_mpi_line(hosts, text, place, problems);
		text = next;
	}
}

/* Whether the first line that says something is "key:" or "key: value", or starts YAML otherwise.
 */
static bool is_yaml(const char *text)
{
	size_t word;

	for (;;) {
		text += strspn(text, " \t\r\n");
		if (*text != '#')
			break;
		text += strcspn(text, "\n");
	}
	if (starts(text, "---") || *text == '{' || *text == '-' || *text == '%')
		return true;
	word = strcspn(text, ": \t\r\n#");
	if (text[word] == ' ') /* "key : value" */
		word += strspn(text + word, " ");
	return text[word] == ':' && (!text[word + 1] || isspace((unsigned char)text[word + 1]));
}

int hosts_read_file(struct hosts *hosts, const char *path, struct problems *problems,
		    struct error *err)
{
	struct buf text = { 0 };
	struct place whole = { .file = path };
	int status = file_read(&text, path, YAML_BYTES, err);

	if (status == 0 && (strlen(buf_text(&text)) < text.length || is_yaml(buf_text(&text))))
		status = read_yaml(hosts, &text, path, problems, err);
	else if (status == 0 && text.data)
		read_mpi(hosts, text.data, path, problems);
	if (status == 0 && hosts->count == 0 && problems->count == 0)
		problems_add(problems, whole, "no hosts in it");
	buf_release(&text);
	return status;
}
