/* What a recipe or hosts file says: a flat list of dotted keys, each with where it was written. */
#include "lib/setting.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/suggest.h"
#include "lib/utf8.h"

struct setting *settings_add(struct settings *settings, const char *key, enum setting_kind kind,
			     struct place place)
{
	struct setting *entry;

	settings->entries =
		xrealloc(settings->entries, settings->count + 1, sizeof(*settings->entries));
	entry = &settings->entries[settings->count++];
	*entry = (struct setting){
		.key = xstrdup(key), .kind = kind, .place = place, .value_place = place
	};
	return entry;
}

void setting_add_value(struct setting *setting, const char *value, size_t length)
{
	setting->values = xrealloc(setting->values, setting->count + 1, sizeof(*setting->values));
	setting->values[setting->count++] = xstrndup(value, length);
}

struct setting *settings_copy(struct settings *settings, const char *key,
			      const struct setting *from)
{
	struct setting *copy = settings_add(settings, key, from->kind, from->place);

	copy->value_place = from->value_place;
	for (size_t i = 0; i < from->count; i++)
		setting_add_value(copy, from->values[i], strlen(from->values[i]));
	return copy;
}

struct setting *settings_find(const struct settings *settings, const char *key)
{
	for (size_t i = 0; i < settings->count; i++)
		if (strcmp(settings->entries[i].key, key) == 0)
			return &settings->entries[i];
	return NULL;
}

/* Does the last component of the key number an item of a list? */
static bool is_index(const char *name)
{
	return name[strspn(name, "0123456789")] == '\0';
}

static void setting_release(struct setting *setting)
{
	for (size_t i = 0; i < setting->count; i++)
		free(setting->values[i]);
	free(setting->values);
	free(setting->key);
}

/* "a.b" is below "a", and below itself. */
static bool below(const char *key, const char *section)
{
	size_t length = strlen(section);

	return strncmp(key, section, length) == 0 && (key[length] == '\0' || key[length] == '.');
}

bool settings_has(const struct settings *settings, const char *key)
{
	for (size_t i = 0; i < settings->count; i++)
		if (below(settings->entries[i].key, key))
			return true;
	return false;
}

void settings_remove(struct settings *settings, const char *key)
{
	size_t kept = 0;

	for (size_t i = 0; i < settings->count; i++) {
		if (below(settings->entries[i].key, key))
			setting_release(&settings->entries[i]);
		else
			settings->entries[kept++] = settings->entries[i];
	}
	settings->count = kept;
}

static void add_items(struct setting *setting, const char *text, size_t length)
{
	const char *end = text + length;

	while (text < end) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		const char *stop = comma ? comma : end;
		const char *last = stop;

		while (text < last && isspace((unsigned char)*text))
			text++;
		while (last > text && isspace((unsigned char)last[-1]))
			last--;
		setting_add_value(setting, text, (size_t)(last - text));
		text = stop + 1;
	}
}

/* A scalar on the way to `key` gives way: --set data.shard.dirichlet=1 over "shard: iid". */
static void clear_way(struct settings *settings, const char *key)
{
	char *prefix = xstrdup(key);
	char *dot;

	while ((dot = strrchr(prefix, '.'))) {
		struct setting *above;

		*dot = '\0';
		above = settings_find(settings, prefix);
		if (above && above->kind != SETTING_SECTION)
			settings_remove(settings, prefix);
	}
	free(prefix);
}

void settings_set(struct settings *settings, const char *key, const char *text, struct place place)
{
	size_t length = strlen(text);
	bool list = length >= 2 && text[0] == '[' && text[length - 1] == ']';
	struct setting *entry;

	settings_remove(settings, key);
	clear_way(settings, key);
	entry = settings_add(settings, key, list ? SETTING_LIST : SETTING_SCALAR, place);
	if (list)
		add_items(entry, text + 1, length - 2);
	else
		setting_add_value(entry, text, length);
}

/* As libyaml has it, which is to read it again. */
static bool is_printable(uint32_t code)
{
	if (code < 0x80)
		return (code >= ' ' && code != 0x7f) || code == '\n' || code == '\t';
	return (code >= 0xa0 && code < 0xfffe && code != 0xfeff) || code >= 0x10000;
}

bool setting_is_text(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	uint32_t code;
	size_t length;

	for (; *at; at += length) {
		length = utf8_next(at, 4, &code); /* the last NUL is no part of any */
		if (length == 0 || !is_printable(code))
			return false;
	}
	return true;
}

void setting_quote(struct buf *out, const char *text)
{
	buf_addf(out, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_addf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			buf_addf(out, "\\x%02x", (unsigned)*text);
		else
			buf_add(out, text, 1);
	}
	buf_addf(out, "\"");
}

static void print_value(struct buf *out, const char *value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_./+-";

	if (value[0] && value[0] != '-' && strspn(value, plain) == strlen(value))
		buf_addf(out, "%s", value);
	else
		setting_quote(out, value);
}

/* What stands behind "key:" or "-". */
static void print_values(const struct setting *entry, struct buf *out)
{
	if (entry->kind == SETTING_SCALAR) {
		buf_addf(out, " ");
		print_value(out, entry->values[0]);
	} else if (entry->kind == SETTING_LIST) {
		buf_addf(out, " [");
		for (size_t i = 0; i < entry->count; i++) {
			buf_addf(out, i ? ", " : "");
			print_value(out, entry->values[i]);
		}
		buf_addf(out, "]");
	}
	buf_addf(out, "\n");
}

static void print_level(const struct settings *settings, const char *prefix, size_t depth,
			struct buf *out);

/* One component below a prefix, and all below that: "name: ..." or, of a list, "- ...". */
static void print_child(const struct settings *settings, const struct setting *entry,
			const char *inner, const char *name, size_t depth, struct buf *out)
{
	int indent = (int)(2 * depth);
	bool item = is_index(name);
	size_t start = out->length;

	if (item && entry->kind == SETTING_SECTION) {
		print_level(settings, inner, depth + 1, out);
		if (out->length > start)
			out->data[start + 2 * depth] = '-';
	} else if (item) {
		buf_addf(out, "%*s-", indent, "");
		print_values(entry, out);
	} else {
		buf_addf(out, "%*s%s:", indent, "", name);
		print_values(entry, out);
		if (entry->kind == SETTING_SECTION)
			print_level(settings, inner, depth + 1, out);
	}
}

/* Prints the entries below `prefix` ("" or "train."), each first component once, in order. */
static void print_level(const struct settings *settings, const char *prefix, size_t depth,
			struct buf *out)
{
	static const struct setting section = { .kind = SETTING_SECTION };
	struct settings done = { 0 };
	size_t skip = strlen(prefix);

	for (size_t i = 0; i < settings->count; i++) {
		const struct setting *entry = &settings->entries[i];
		char *name, *inner;

		if (strncmp(entry->key, prefix, skip) != 0)
			continue;
		name = xstrndup(entry->key + skip, strcspn(entry->key + skip, "."));
		inner = xasprintf("%s%s.", prefix, name);
		if (!settings_find(&done, name)) {
			settings_add(&done, name, SETTING_SECTION, entry->place);
			if (strchr(entry->key + skip, '.'))
				entry = &section;
			print_child(settings, entry, inner, name, depth, out);
		}
		free(name);
		free(inner);
	}
	settings_release(&done);
}

void settings_print(const struct settings *settings, struct buf *out)
{
	print_level(settings, "", 0, out);
}

/* The known names beside the last component of `key`. */
static const char *nearest_key(const struct settings *known, const char *key, char **owned)
{
	const char *dot = strrchr(key, '.');
	size_t skip = dot ? (size_t)(dot - key) + 1 : 0;
	const char **names = xcalloc(known->count, sizeof(*names));
	size_t count = 0;
	const char *found;

	for (size_t i = 0; i < known->count; i++) {
		char *name = xstrdup(known->entries[i].key);

		if (strncmp(name, key, skip) == 0 && name[skip]) {
			name[skip + strcspn(name + skip, ".")] = '\0';
			names[count++] = xstrdup(name + skip);
		}
		free(name);
	}
	found = suggest(key + skip, names, count);
	*owned = found ? xstrdup(found) : NULL;
	for (size_t i = 0; i < count; i++)
		free((void *)(size_t)names[i]);
	free(names);
	return *owned;
}

void settings_report_unused(const struct settings *settings, const struct settings *known,
			    struct problems *problems)
{
	const char *reported = NULL;

	for (size_t i = 0; i < settings->count; i++) {
		const struct setting *entry = &settings->entries[i];
		char *near = NULL;

		if (entry->used || (reported && below(entry->key, reported)))
			continue;
		if (entry->kind == SETTING_SECTION && settings_has(known, entry->key))
			continue;
		reported = entry->key;
		if (settings_has(known, entry->key))
			problems_add(problems, entry->value_place,
				     "'%s' needs keys below it, not a %s", entry->key,
				     entry->kind == SETTING_LIST ? "list" : "value");
		else if (nearest_key(known, entry->key, &near))
			problems_add(problems, entry->place, "unknown key '%s'; did you mean '%s'?",
				     entry->key, near);
		else
			problems_add(problems, entry->place, "unknown key '%s'", entry->key);
		free(near);
	}
}

void settings_release(struct settings *settings)
{
	for (size_t i = 0; i < settings->count; i++)
		setting_release(&settings->entries[i]);
	free(settings->entries);
	*settings = (struct settings){ 0 };
}

void problems_add(struct problems *problems, struct place place, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (place.line)
		buf_addf(&problems->text, "%s:%d:%d: %s\n", place.file, place.line, place.column,
			 text);
	else
		buf_addf(&problems->text, "%s: %s\n", place.file, text);
	problems->count++;
}

void problems_add_line(struct problems *problems, const char *line)
{
	buf_addf(&problems->text, "%s\n", line);
	problems->count++;
}

int place_prefix(struct error *err, struct place place)
{
	if (place.line)
		return error_prefix(err, "%s:%d:%d", place.file, place.line, place.column);
	return error_prefix(err, "%s", place.file);
}

int problems_move(struct problems *to, struct problems *found, const char *name, struct error *err)
{
	size_t count = found->count;

	buf_add(&to->text, found->text.data, found->text.length);
	to->count += count;
	problems_release(found);
	if (count == 0)
		return 0;
	return error_set(err, "'%s' has %zu problem%s", name, count, count > 1 ? "s" : "");
}

void problems_release(struct problems *problems)
{
	buf_release(&problems->text);
	problems->count = 0;
}
