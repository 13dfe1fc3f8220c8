/* Schemes for some tensors, by their names, in place of the recipe's one scheme for all. */
#ifndef DSTRAIN_RUNTIME_COMPRESS_RULES_H
#define DSTRAIN_RUNTIME_COMPRESS_RULES_H

#include <stddef.h>

#include "lib/registry.h"
#include "lib/setting.h"

struct compress_rule {
	char *match; /* a pattern as of the shell: "*.bias" */
	struct place place;
	struct part scheme;
};

/* Zeroed is valid and empty. */
struct compress_rules {
	struct compress_rule *items;
	size_t count;
};

/*
 * Reads PREFIX.rules, a list of {match: PATTERN, scheme: NAME, options}. What is wrong goes to
 * `problems`; `resolved` gets every key with its effective value. Places borrow what those of
 * `given` do. `rules` must be zeroed, and is releasable whatever happened.
 */
void compress_rules_read(struct compress_rules *rules, struct settings *given, const char *prefix,
			 struct settings *resolved, struct problems *problems);

/* The first rule for a tensor of this name; NULL: none. */
const struct compress_rule *compress_rules_find(const struct compress_rules *rules,
						const char *name);
void compress_rules_release(struct compress_rules *rules);

#endif
