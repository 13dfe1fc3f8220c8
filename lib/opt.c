/* Option tables: one row gives an option's name, type, default, range and help text. */
#include "lib/opt.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/setting.h"
#include "lib/suggest.h"
#include "lib/units.h"

static int check_range(const struct opt *row, double value, const char *text, struct error *err)
{
	if ((row->min == 0 && row->max == 0) || (value >= row->min && value <= row->max))
		return 0;
	return error_set(err, "'%s' is out of range: %.10g to %.10g", text, row->min, row->max);
}

static int parse_count(const struct opt *row, const char *text, size_t *out, struct error *err)
{
	uint64_t value;
	int status = row->type == OPT_BYTES ? units_bytes(&value, text, err)
					    : units_count(&value, text, err);

	if (status < 0 || check_range(row, (double)value, text, err) < 0)
		return -1;
	if (value > SIZE_MAX / 2)
		return error_set(err, "'%s' is too large", text);
	*out = (size_t)value;
	return 0;
}

static int parse_real(const struct opt *row, const char *text, double *out, struct error *err)
{
	int status = row->type == OPT_SECONDS ? units_seconds(out, text, err)
					      : units_real(out, text, err);

	return status < 0 ? -1 : check_range(row, *out, text, err);
}

static int parse_bool(const char *text, bool *out, struct error *err)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = i % 2;
			return 0;
		}
	}
	return error_set(err, "'%s' is neither yes nor no", text);
}

static int parse_choice(const struct opt *row, const char *text, int *out, struct error *err)
{
	struct buf all = { 0 };
	const char *near;
	size_t count = 0;

	for (; row->choices[count]; count++) {
		if (strcmp(text, row->choices[count]) == 0) {
			*out = (int)count;
			buf_release(&all);
			return 0;
		}
		buf_addf(&all, "%s%s", count ? ", " : "", row->choices[count]);
	}
	near = suggest(text, row->choices, count);
	if (near)
		error_set(err, "unknown value '%s'; did you mean '%s'?", text, near);
	else
		error_set(err, "unknown value '%s'; one of %s", text, buf_text(&all));
	buf_release(&all);
	return -1;
}

static int parse_text(const struct opt *row, const char *text, char **out, struct error *err)
{
	if (!text[0] && !row->fallback)
		return error_set(err, "must not be empty");
	if (!setting_is_text(text))
		return error_set(err, "the text has a control character in it");
	*out = text[0] ? xstrdup(text) : NULL;
	return 0;
}

static int parse_scalar(const struct opt *row, const char *text, void *field, struct error *err)
{
	switch (row->type) {
	case OPT_BOOL: return parse_bool(text, field, err);
	case OPT_COUNT:
	case OPT_BYTES: return parse_count(row, text, field, err);
	case OPT_REAL:
	case OPT_SECONDS: return parse_real(row, text, field, err);
	case OPT_CHOICE: return parse_choice(row, text, field, err);
	case OPT_TEXT:
	case OPT_PATH: return parse_text(row, text, field, err);
	default: return 0;
	}
}

static int parse_counts(const struct opt *row, const struct setting *setting,
			struct opt_counts *out, struct error *err)
{
	out->values = xcalloc(setting->count, sizeof(*out->values));
	for (out->count = 0; out->count < setting->count; out->count++)
		if (parse_count(row, setting->values[out->count], &out->values[out->count], err) <
		    0)
			return -1;
	return 0;
}

static int parse_texts(const struct opt *row, const struct setting *setting, struct opt_texts *out,
		       struct error *err)
{
	bool list = setting->kind == SETTING_LIST;

	if (!list && !setting->values[0][0] && row->fallback)
		return 0;
	if (list && setting->count == 0 && !row->fallback)
		return error_set(err, "must not be empty");
	out->values = xcalloc(setting->count, sizeof(*out->values));
	for (out->count = 0; out->count < setting->count; out->count++) {
		char *path = NULL;

		if (parse_text(row, setting->values[out->count], &path, err) < 0)
			return -1;
		if (!path)
			return error_set(err, "an item of the list is empty");
		out->values[out->count] = path;
	}
	return 0;
}

static int parse(const struct opt *row, const struct setting *setting, void *params,
		 struct error *err)
{
	void *field = params ? (char *)params + row->offset : NULL; /* OPT_PART: nothing to fill */

	if (setting->kind == SETTING_SECTION)
		return error_set(err, "needs a value, not keys below it");
	if (row->type == OPT_COUNTS)
		return parse_counts(row, setting, field, err);
	if (row->type == OPT_TEXTS || row->type == OPT_PATHS)
		return parse_texts(row, setting, field, err);
	if (setting->kind == SETTING_LIST)
		return error_set(err, "needs one value, not a list");
	return parse_scalar(row, setting->values[0], field, err);
}

/* The row's setting: the given one, or one made in `resolved` from the default; NULL if required.
 */
static const struct setting *effective(const struct opt *row, struct settings *given,
				       const char *key, struct settings *resolved,
				       struct problems *problems)
{
	struct setting *found = settings_find(given, key);
	struct place nowhere = { .file = "default" };

	if (found) {
		found->used = true;
		return settings_copy(resolved, key, found);
	}
	if (row->fallback) {
		if (row->type == OPT_COUNTS) {
			char *list = xasprintf("[%s]", row->fallback);

			settings_set(resolved, key, list, nowhere);
			free(list);
		} else {
			struct setting *added =
				settings_add(resolved, key, SETTING_SCALAR, nowhere);

			setting_add_value(added, row->fallback, strlen(row->fallback));
			return added;
		}
		return settings_find(resolved, key);
	}
	nowhere.file = given->count ? given->entries[0].place.file : "recipe";
	settings_add(resolved, key, SETTING_SECTION, nowhere); /* so that it counts as known */
	problems_add(problems, nowhere, "missing key '%s' (%s)", key, row->summary);
	return NULL;
}

void opt_read(const struct opt *table, struct settings *given, const char *prefix, void *params,
	      struct settings *resolved, struct problems *problems)
{
	for (const struct opt *row = table; row && row->key; row++) {
		char *key = xasprintf("%s%s%s", prefix, prefix[0] ? "." : "", row->key);
		const struct setting *setting = effective(row, given, key, resolved, problems);
		struct error err;

		if (setting && parse(row, setting, params, &err) < 0)
			problems_add(problems, setting->value_place, "%s: %s", key, err.text);
		free(key);
	}
}

void opt_defaults(const struct opt *table, void *params)
{
	struct settings none = { 0 }, resolved = { 0 };
	struct problems ignored = { 0 };

	opt_read(table, &none, "", params, &resolved, &ignored);
	settings_release(&resolved);
	problems_release(&ignored);
}

void opt_release(const struct opt *table, void *params)
{
	for (const struct opt *row = table; row && row->key; row++) {
		void *field = (char *)params + row->offset;

		if (row->type == OPT_TEXT || row->type == OPT_PATH) {
			free(*(char **)field);
			*(char **)field = NULL;
		} else if (row->type == OPT_TEXTS || row->type == OPT_PATHS) {
			struct opt_texts *texts = field;

			for (size_t i = 0; i < texts->count; i++)
				free(texts->values[i]);
			free(texts->values);
			*texts = (struct opt_texts){ 0 };
		} else if (row->type == OPT_COUNTS) {
			free(((struct opt_counts *)field)->values);
			*(struct opt_counts *)field = (struct opt_counts){ 0 };
		}
	}
}

char **opt_files(const struct opt *row, void *params, size_t *count)
{
	void *field = (char *)params + row->offset;
	struct opt_texts *paths = field;

	if (row->type == OPT_PATHS) {
		*count = paths->count;
		return paths->values;
	}
	*count = 1;
	return row->type == OPT_PATH && *(char **)field ? field : NULL;
}

void opt_describe(const struct opt *row, struct buf *out)
{
	static const char *const words[] = { [OPT_BOOL] = "yes|no",
					     [OPT_COUNT] = "count",
					     [OPT_REAL] = "number",
					     [OPT_TEXT] = "text",
					     [OPT_PATH] = "file",
					     [OPT_CHOICE] = "",
					     [OPT_BYTES] = "size",
					     [OPT_SECONDS] = "time",
					     [OPT_COUNTS] = "list of counts",
					     [OPT_PART] = "name",
					     [OPT_TEXTS] = "text or list of texts",
					     [OPT_PATHS] = "file or list of files" };

	buf_addf(out, "%s", words[row->type]);
	for (size_t i = 0; row->type == OPT_CHOICE && row->choices[i]; i++)
		buf_addf(out, "%s%s", i ? "|" : "", row->choices[i]);
	if (row->min != 0 || row->max != 0)
		buf_addf(out, " from %.10g to %.10g", row->min, row->max);
}
