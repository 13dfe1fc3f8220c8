/* What a recipe or hosts file says: a flat list of dotted keys, each with where it was written. */
#ifndef DSTRAIN_LIB_SETTING_H
#define DSTRAIN_LIB_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

struct error;

struct place {
	const char *file; /* borrowed; "--set" and the like for what no file says */
	int line, column; /* from 1; line 0: no position within the file */
};

enum setting_kind {
	SETTING_SCALAR,	 /* values[0] */
	SETTING_LIST,	 /* any number of values */
	SETTING_SECTION, /* has keys below it, no value itself */
};

/* "train.optimizer.lr" = "0.1". A list of mappings flattens to "layers.0.name", "layers.1.name",
 * ... */
struct setting {
	char *key;
	enum setting_kind kind;
	char **values;
	size_t count;
	struct place place, value_place; /* of the key, of the value */
	bool used;			 /* an option table asked for it */
};

struct settings {
	struct setting *entries;
	size_t count;
};

/* All problems of a file are collected and shown together. */
struct problems {
	struct buf text; /* one line each: "recipe.yaml:12:3: unknown key 'sycn'" */
	size_t count;
};

/* Returns the new entry, without values. `key` is copied. */
struct setting *settings_add(struct settings *settings, const char *key, enum setting_kind kind,
			     struct place place);
void setting_add_value(struct setting *setting, const char *value, size_t length);
/* The same under `key`, values and places included; not marked as used. */
struct setting *settings_copy(struct settings *settings, const char *key,
			      const struct setting *from);
struct setting *settings_find(const struct settings *settings, const char *key); /* may be NULL */
/* Is there an entry `key`, or one below it? */
bool settings_has(const struct settings *settings, const char *key);
/* Replaces or adds a scalar, or a list written "[a, b]". */
void settings_set(struct settings *settings, const char *key, const char *text, struct place place);
/* Drops an entry and all below it ("train" drops "train.epochs" too). */
void settings_remove(struct settings *settings, const char *key);
/* As YAML text, in the order of the entries, nested; "a.0", "a.1", ... are the items of a list. */
void settings_print(const struct settings *settings, struct buf *out);
void setting_quote(struct buf *out, const char *text); /* one value, in double quotes */
/* UTF-8 without control characters but line ends and tabs: fit for a terminal, and what was quoted
 * can be read again. */
bool setting_is_text(const char *text);
/* One problem for each entry that no table asked for; `known` holds all keys that tables offer. */
void settings_report_unused(const struct settings *settings, const struct settings *known,
			    struct problems *problems);
void settings_release(struct settings *settings);

void problems_add(struct problems *problems, struct place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void problems_add_line(struct problems *problems, const char *line); /* with its place in it */
/* Puts where it is written in front of a message. Always returns -1. */
int place_prefix(struct error *err, struct place place);
/* Moves all that was found in the file `name` to `to`; -1 with their number in err, 0 if none. */
int problems_move(struct problems *to, struct problems *found, const char *name, struct error *err);
void problems_release(struct problems *problems);

#endif
