/* What every selectable implementation has in common, and the lists that hold them. */
#ifndef DSTRAIN_LIB_REGISTRY_H
#define DSTRAIN_LIB_REGISTRY_H

#include <stddef.h>

struct opt;
struct problems;
struct settings;

/* The first member of every implementation: `const struct sync_strategy sync_bsp = { .entry = ...
 * }`. */
struct entry {
	const char *name;
	const char *summary;	   /* half a line, for `dstrain list` and the man page */
	const struct opt *options; /* ends with a zero row; NULL: none */
	size_t params_size;	   /* of the struct that `options` fill; 0 without options */
};

struct registry {
	const char *category;		    /* as in `dstrain list sync` */
	const char *noun;		    /* as in "no sync strategy 'bps'" */
	const struct entry *const *entries; /* NULL-terminated */
};

/* An implementation that a recipe named, with its parameters. Zeroed is valid and empty. */
struct part {
	const struct entry *entry;
	void *params; /* params_size bytes, owned; NULL if there are no options */
};

const struct entry *registry_find(const struct registry *registry, const char *name); /* or NULL */

/* The implementation itself, of which the entry is the first member: PART_AS(part, struct
 * optimizer). */
#define PART_AS(part, type) ((const type *)(const void *)(part)->entry)

/* "sync: bsp" is short for "sync: {strategy: bsp}": makes PREFIX, if a scalar, PREFIX.KEY. */
void registry_expand(struct settings *given, const char *prefix, const char *key);

/*
 * Reads "PREFIX.KEY" (or a scalar "PREFIX") as a name in `registry`, and the entry's options below
 * PREFIX. `fallback` is the default name; NULL: must be given. On a problem part->entry is NULL.
 */
void registry_read(const struct registry *registry, struct settings *given, const char *prefix,
		   const char *key, const char *fallback, struct part *part,
		   struct settings *resolved, struct problems *problems);

/* The named entry with default options. The name must exist. */
struct part part_default(const struct registry *registry, const char *name);
void part_release(struct part *part);

#endif
