/* What every selectable implementation has in common, and the lists that hold them. */
#include "lib/registry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/opt.h"
#include "lib/setting.h"
#include "lib/suggest.h"

const struct entry *registry_find(const struct registry *registry, const char *name)
{
	for (size_t i = 0; registry->entries[i]; i++)
		if (strcmp(registry->entries[i]->name, name) == 0)
			return registry->entries[i];
	return NULL;
}

static void report_unknown(const struct registry *registry, const struct setting *setting,
			   struct problems *problems)
{
	const char *names[64];
	const char *near;
	size_t count = 0;

	while (registry->entries[count] && count < ARRAY_SIZE(names)) {
		names[count] = registry->entries[count]->name;
		count++;
	}
	near = suggest(setting->values[0], names, count);
	if (near)
		problems_add(problems, setting->value_place, "no %s '%s'; did you mean '%s'?",
			     registry->noun, setting->values[0], near);
	else
		problems_add(problems, setting->value_place, "no %s '%s'; see `dstrain list %s`",
			     registry->noun, setting->values[0], registry->category);
}

void registry_expand(struct settings *given, const char *prefix, const char *key)
{
	struct setting *whole = settings_find(given, prefix);

	if (whole && whole->kind == SETTING_SCALAR) {
		free(whole->key);
		whole->key = xasprintf("%s.%s", prefix, key);
	}
}

void registry_read(const struct registry *registry, struct settings *given, const char *prefix,
		   const char *key, const char *fallback, struct part *part,
		   struct settings *resolved, struct problems *problems)
{
	struct opt row[] = {
		{ .key = key, .type = OPT_PART, .fallback = fallback, .summary = registry->noun },
		{ 0 }
	};
	char *full = xasprintf("%s.%s", prefix, key);
	size_t before = problems->count;
	const struct setting *name;

	registry_expand(given, prefix, key);
	opt_read(row, given, prefix, NULL, resolved, problems);
	name = settings_find(resolved, full);
	if (problems->count == before && name->kind == SETTING_SCALAR) {
		part->entry = registry_find(registry, name->values[0]);
		if (part->entry) {
			part->params = xcalloc(1, part->entry->params_size);
			opt_read(part->entry->options, given, prefix, part->params, resolved,
				 problems);
		} else {
			report_unknown(registry, name, problems);
		}
	}
	if (!part->entry) { /* its options cannot be judged */
		for (size_t i = 0; i < given->count; i++)
			if (strncmp(given->entries[i].key, prefix, strlen(prefix)) == 0)
				given->entries[i].used = true;
	}
	free(full);
}

struct part part_default(const struct registry *registry, const char *name)
{
	struct part part = { .entry = registry_find(registry, name) };

	assert(part.entry);
	part.params = xcalloc(1, part.entry->params_size);
	opt_defaults(part.entry->options, part.params);
	return part;
}

void part_release(struct part *part)
{
	if (part->entry && part->params)
		opt_release(part->entry->options, part->params);
	free(part->params);
	*part = (struct part){ 0 };
}
