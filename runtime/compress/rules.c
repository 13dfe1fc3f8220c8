/* Schemes for some tensors, by their names. */
#include "runtime/compress/rules.h"

#include <fnmatch.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/opt.h"
#include "runtime/compress/compress.h"

static const struct opt options[] = { { "match", OPT_TEXT, offsetof(struct compress_rule, match),
					NULL,
					"tensors whose names are like this pattern of the shell" },
				      { 0 } };

/* False behind the last rule. */
static bool read_rule(struct compress_rules *rules, struct settings *given, const char *key,
		      struct settings *resolved, struct problems *problems)
{
	char *match_key;
	struct compress_rule *rule;
	const struct setting *where;

	if (!settings_has(given, key))
		return false;
	rules->items = xgrow(rules->items, rules->count, sizeof(*rule));
	rule = &rules->items[rules->count++];
	*rule = (struct compress_rule){ 0 };
	match_key = xasprintf("%s.match", key);
	where = settings_find(given, match_key);
	if (where)
		rule->place = where->value_place;
	opt_read(options, given, key, rule, resolved, problems);
	registry_read(&compressors, given, key, "scheme", NULL, &rule->scheme, resolved, problems);
	free(match_key);
	return true;
}

void compress_rules_read(struct compress_rules *rules, struct settings *given, const char *prefix,
			 struct settings *resolved, struct problems *problems)
{
	char *key = xasprintf("%s.rules", prefix), *item = NULL;
	struct setting *whole = settings_find(given, key);
	bool there = true;

	if (whole) {
		whole->used = true;
		if (whole->kind == SETTING_LIST)
			settings_copy(resolved, key, whole);
	}
	for (size_t i = 0; there; i++) {
		item = xasprintf("%s.%zu", key, i);
		there = read_rule(rules, given, item, resolved, problems);
		free(item);
	}
	if (whole && rules->count == 0 && whole->count > 0)
		problems_add(problems, whole->value_place,
			     "%s: a rule is written {match: \"*.bias\", scheme: none}", key);
	free(key);
}

const struct compress_rule *compress_rules_find(const struct compress_rules *rules,
						const char *name)
{
	for (size_t i = 0; i < rules->count; i++)
		if (fnmatch(rules->items[i].match, name, 0) == 0)
			return &rules->items[i];
	return NULL;
}

void compress_rules_release(struct compress_rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		opt_release(options, &rules->items[i]);
		part_release(&rules->items[i].scheme);
	}
	free(rules->items);
	*rules = (struct compress_rules){ 0 };
}
