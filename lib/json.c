/*
 * JSON values. Jansson parses and holds them; printing is done here, because jansson writes floats
 * with 17 digits even where fewer give the same value back.
 */
#include "lib/json.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/units.h"

/* A struct json is a json_t under another name. Only counting references changes it. */
static json_t *inside(const struct json *json)
{
	return (json_t *)(uintptr_t)json;
}

static struct json *outside(json_t *value)
{
	assert(value);
	return (struct json *)value;
}

struct json *json_object_new(void)
{
	return outside(json_object());
}

struct json *json_array_new(void)
{
	return outside(json_array());
}

struct json *json_parse(const char *text, size_t length, struct error *err)
{
	json_error_t reason;
	json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &reason);

	if (value)
		return outside(value);
	error_set(err, "line %d, column %d: %s", reason.line, reason.column, reason.text);
	return NULL;
}

void json_free(struct json *json)
{
	json_decref(inside(json));
}

/* JSON is UTF-8; names of files need not be. What is not becomes '?'. */
static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (value)
		return value;
	copy = xstrdup(text);
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(copy);
	free(copy);
	return value;
}

void json_add(struct json *to, const char *key, struct json *value)
{
	json_t *name;

	if (!key) {
		json_array_append_new(inside(to), inside(value));
		return;
	}
	name = text_value(key);
	json_object_set_new(inside(to), json_string_value(name), inside(value));
	json_decref(name);
}

void json_add_text(struct json *to, const char *key, const char *text)
{
	json_add(to, key, outside(text ? text_value(text) : json_null()));
}

void json_add_count(struct json *to, const char *key, uint64_t value)
{
	assert(value <= INT64_MAX);
	json_add(to, key, outside(json_integer((json_int_t)value)));
}

void json_add_real(struct json *to, const char *key, double value)
{
	json_add(to, key, outside(isfinite(value) ? json_real(value) : json_null()));
}

void json_add_bool(struct json *to, const char *key, bool value)
{
	json_add(to, key, outside(json_boolean(value)));
}

const struct json *json_get(const struct json *json, const char *key)
{
	return (const struct json *)json_object_get(inside(json), key);
}

static void *nth(const struct json *json, size_t i)
{
	void *at = json_object_iter(inside(json));

	while (at && i-- > 0)
		at = json_object_iter_next(inside(json), at);
	return at;
}

const struct json *json_at(const struct json *json, size_t i)
{
	void *at;

	if (json_is_array(inside(json)))
		return (const struct json *)json_array_get(inside(json), i);
	at = nth(json, i);
	return at ? (const struct json *)json_object_iter_value(at) : NULL;
}

const char *json_key_at(const struct json *json, size_t i)
{
	void *at = nth(json, i);

	return at ? json_object_iter_key(at) : NULL;
}

size_t json_size(const struct json *json)
{
	const json_t *value = inside(json);

	return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

uint64_t json_count(const struct json *json, uint64_t fallback)
{
	const json_t *value = inside(json);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return fallback;
	return (uint64_t)json_integer_value(value);
}

unsigned long long json_get_count(const struct json *json, const char *key, uint64_t fallback)
{
	return json_count(json_get(json, key), fallback);
}

double json_number(const struct json *json, double fallback)
{
	return json_is_number(inside(json)) ? json_number_value(inside(json)) : fallback;
}

const char *json_text(const struct json *json)
{
	return json_string_value(inside(json));
}

bool json_unset(const struct json *json)
{
	return json_is_null(inside(json));
}

const char *json_get_text(const struct json *json, const char *key)
{
	return json_text(json_get(json, key));
}

double json_get_real(const struct json *json, const char *key, double fallback)
{
	return json_number(json_get(json, key), fallback);
}

bool json_get_bool(const struct json *json, const char *key, bool fallback)
{
	const json_t *value = inside(json_get(json, key));

	return json_is_boolean(value) ? json_is_true(value) : fallback;
}

/* The shortest of 9 to 17 digits that reads back as the same double; never like an integer. */
static void print_real(double value, struct buf *out)
{
	char text[40];
	double back = 0;
	struct error ignored;

	for (int digits = 9; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (units_real(&back, text, &ignored) == 0 && back == value)
			break;
	}
	buf_addf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_text(const char *text, struct buf *out)
{
	buf_add(out, "\"", 1);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_addf(out, "\\%c", *text);
		else if (*text == '\n')
			buf_add(out, "\\n", 2);
		else if ((unsigned char)*text < ' ')
			buf_addf(out, "\\u%04x", (unsigned)*text);
		else
			buf_add(out, text, 1);
	}
	buf_add(out, "\"", 1);
}

static void print_value(json_t *value, size_t indent, size_t depth, struct buf *out);

static void new_line(size_t indent, size_t depth, struct buf *out)
{
	if (indent)
		buf_addf(out, "\n%*s", (int)(indent * depth), "");
}

static void print_object(json_t *object, size_t indent, size_t depth, struct buf *out)
{
	const char *key, *between = "";
	json_t *value;

	buf_add(out, "{", 1);
	json_object_foreach(object, key, value)
	{
		buf_addf(out, "%s", between);
		new_line(indent, depth + 1, out);
		print_text(key, out);
		buf_addf(out, indent ? ": " : ":");
		print_value(value, indent, depth + 1, out);
		between = ",";
	}
	if (between[0])
		new_line(indent, depth, out);
	buf_add(out, "}", 1);
}

/* Arrays of plain values stay on one line. */
static void print_array(json_t *array, size_t indent, size_t depth, struct buf *out)
{
	size_t count = json_array_size(array), i;
	bool nested = false;
	json_t *value;

	json_array_foreach(array, i, value) nested |= json_is_object(value) || json_is_array(value);
	buf_add(out, "[", 1);
	json_array_foreach(array, i, value)
	{
		if (nested)
			new_line(indent, depth + 1, out);
		print_value(value, indent, depth + 1, out);
		if (i + 1 < count)
			buf_addf(out, indent && !nested ? ", " : ",");
	}
	if (nested)
		new_line(indent, depth, out);
	buf_add(out, "]", 1);
}

static void print_value(json_t *value, size_t indent, size_t depth, struct buf *out)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT: print_object(value, indent, depth, out); break;
	case JSON_ARRAY: print_array(value, indent, depth, out); break;
	case JSON_STRING: print_text(json_string_value(value), out); break;
	case JSON_INTEGER: buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value)); break;
	case JSON_REAL: print_real(json_real_value(value), out); break;
	case JSON_TRUE: buf_addf(out, "true"); break;
	case JSON_FALSE: buf_addf(out, "false"); break;
	case JSON_NULL: buf_addf(out, "null"); break;
	}
}

void json_print(const struct json *json, size_t indent, struct buf *out)
{
	print_value(inside(json), indent, 0, out);
	if (indent)
		buf_add(out, "\n", 1);
}
