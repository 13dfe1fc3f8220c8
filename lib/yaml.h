/* YAML text to settings (libyaml underneath). */
#ifndef DSTRAIN_LIB_YAML_H
#define DSTRAIN_LIB_YAML_H

#include <stddef.h>

struct error;
struct problems;
struct settings;

enum {
	YAML_BYTES = 1 << 20, /* larger texts are refused */
	YAML_DEPTH = 16,
	YAML_KEY_BYTES = 128,
	/* In the result, where an alias counts as often as it is used: */
	YAML_KEYS = 10000,
	YAML_VALUE_BYTES = 8 << 20,
};

/*
 * Adds the keys of a mapping to `out`, nested keys as "a.b", each with its position. A list of
 * scalars is one SETTING_LIST; any other list has a key per item: "a.0", "a.1". Aliases are
 * resolved. `name` stands for the file in places and is borrowed by them. Everything wrong goes to
 * `problems`; then the result is -1 and err says how many.
 */
int yaml_read(struct settings *out, const char *text, size_t length, const char *name,
	      struct problems *problems, struct error *err);

/*
 * The same for files whose keys are names of the user's: a dot within a key is kept, as YAML_DOT
 * (yaml_show_dots puts it back, in place), and a key without a value is an empty section.
 */
#define YAML_DOT '\x1f'
int yaml_read_names(struct settings *out, const char *text, size_t length, const char *name,
		    struct problems *problems, struct error *err);
char *yaml_show_dots(char *text);

#endif
