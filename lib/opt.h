/* Option tables: one row gives an option's name, type, default, range and help text. */
#ifndef DSTRAIN_LIB_OPT_H
#define DSTRAIN_LIB_OPT_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct problems;
struct settings;

/* What a row writes at `offset` of its params struct. */
enum opt_type {
	OPT_BOOL = 1, /* bool */
	OPT_COUNT,    /* size_t */
	OPT_REAL,     /* double */
	OPT_TEXT,     /* char *; NULL if the default is "" and none was given */
	OPT_PATH,     /* char *, as OPT_TEXT; a file that workers need */
	OPT_TEXTS,    /* struct opt_texts: one text or a list of them */
	OPT_PATHS,    /* struct opt_texts: one file that workers need or a list of them */
	OPT_CHOICE,   /* int, the index in `choices` */
	OPT_BYTES,    /* size_t, from "64MiB" */
	OPT_SECONDS,  /* double, from "2s" */
	OPT_COUNTS,   /* struct opt_counts; default "256,128" */
	OPT_PART,     /* nothing: the name of a registry entry; see registry.h */
};

struct opt_counts {
	size_t *values;
	size_t count;
};

struct opt_texts {
	char **values;
	size_t count;
};

struct opt {
	const char *key; /* may be dotted: "train.images" */
	enum opt_type type;
	size_t offset;
	const char *fallback; /* the default as text; NULL: must be given */
	const char *summary;  /* half a line, lower case, no full stop */
	double min, max;      /* inclusive, for numbers; both 0: any (never negative counts) */
	const char *const *choices; /* for OPT_CHOICE, NULL-terminated */
};

/*
 * Reads every row's setting "PREFIX.KEY" (or "KEY" if prefix is "") into `params`, which must be
 * zeroed; marks the settings as used; adds every row with its effective text to `resolved`; reports
 * wrong types, ranges and missing values to `problems`. `params` is releasable whatever happened.
 */
void opt_read(const struct opt *table, struct settings *given, const char *prefix, void *params,
	      struct settings *resolved, struct problems *problems);

/* The defaults alone: for tests and for parts that no recipe names. Required rows stay zero. */
void opt_defaults(const struct opt *table, void *params);

void opt_release(const struct opt *table, void *params); /* frees what rows own */

/* The files that a row's field names, to read or to replace; NULL where it is no row of files or
 * names none. Borrowed from `params`. */
char **opt_files(const struct opt *row, void *params, size_t *count);

/* "size", "a|b", "number from 0 to 1" ...: the type and range of a row, for help. */
void opt_describe(const struct opt *row, struct buf *out);

#endif
