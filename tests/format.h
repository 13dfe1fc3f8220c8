/* For tests of data formats: parts of recipes as texts. */
#ifndef DSTRAIN_TESTS_DATA_FORMAT_H
#define DSTRAIN_TESTS_DATA_FORMAT_H

#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/setting.h"
#include "runtime/data/data.h"

/* "train.images=images label=2": the settings below "data". */
static inline struct part format_read_part(const char *format, const char *settings,
					   struct problems *problems)
{
	static const struct place here = { .file = "recipe.yaml", .line = 1, .column = 1 };
	struct settings given = { 0 }, resolved = { 0 };
	struct part part = { 0 };
	char *copy = xstrdup(settings), *rest = copy, *word;

	settings_set(&given, "data.format", format, here);
	while ((word = strtok_r(rest, " ", &rest))) {
		char *value = strchr(word, '=') + 1;
		char *key = xasprintf("data.%.*s", (int)(value - word - 1), word);

		settings_set(&given, key, value, here);
		free(key);
	}
	registry_read(&data_formats, &given, "data", "format", NULL, &part, &resolved, problems);
	settings_report_unused(&given, &resolved, problems);
	free(copy);
	settings_release(&given);
	settings_release(&resolved);
	return part;
}

#endif
