/* What the words of a benchmark's command line name. */
#ifndef DSTRAIN_TESTS_BENCH_PART_H
#define DSTRAIN_TESTS_BENCH_PART_H

#undef NDEBUG
#include <assert.h>
#include <stdio.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "lib/registry.h"
#include "lib/setting.h"
#include "lib/units.h"

/* `options` is KEY, VALUE, ..., NULL. */
static inline struct part make_part(const struct registry *registry, const char *name,
				    char **options)
{
	struct part part = { .entry = registry_find(registry, name) };
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };

	assert(part.entry);
	part.params = xcalloc(1, part.entry->params_size);
	if (!part.entry->options)
		return part;
	for (; *options; options += 2)
		settings_set(&given, options[0], options[1], (struct place){ .file = "bench" });
	opt_read(part.entry->options, &given, "", part.params, &resolved, &problems);
	fputs(buf_text(&problems.text), stderr);
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
	return part;
}

/* 0: is none. */
static inline size_t number(const char *text)
{
	struct error ignored;
	uint64_t value;

	return units_count(&value, text, &ignored) == 0 ? (size_t)value : 0;
}

#endif
