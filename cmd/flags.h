/* The command line as a table: one row gives a flag's name, type, default, range and help text. */
#ifndef DSTRAIN_CMD_FLAGS_H
#define DSTRAIN_CMD_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/opt.h"

struct command;

/* Which flags a command takes: a set of these. All take FLAG_ALWAYS. */
enum flag_set {
	FLAG_ALWAYS = 1,
	FLAG_HOSTS = 2,
	FLAG_SET = 4,
	FLAG_RUN_DIR = 8,
	FLAG_FANOUT = 16,
	FLAG_DRY_RUN = 32,
	FLAG_JSON = 64,
	FLAG_PRINT = 128,
	FLAG_MARKDOWN = 256,
	FLAG_SIZES = 512,
	FLAG_GRACE = 1 << 10,
	FLAG_DETACH = 1 << 11,
	FLAG_STOP = 1 << 12,
	FLAG_FOLLOW = 1 << 13,
	FLAG_CLEAN = 1 << 14, /* --force and --yes */
	FLAG_RECIPE = 1 << 15,
	FLAG_DATA = 1 << 16,
	FLAG_SAMPLE = 1 << 17,
	FLAG_LINKS = 1 << 18,
	FLAG_EMULATE = 1 << 19,
	FLAG_PROBE = 1 << 20,
	FLAG_PLAN = 1 << 21,
};

/* What was given, or the defaults. Texts that were not given are NULL. */
struct flags {
	const char **operands; /* what is no flag, from argv */
	size_t operand_count;
	const char **set; /* KEY=VALUE in order, from argv */
	size_t set_count;

	char *hosts, *run_dir, *recipe, *data, *prompt, *emulate;
	char *links, *rtt;
	double compute_s, search_s; /* compute_s 0: not given */
	size_t plan_bytes, period;  /* plan_bytes 0: not given */
	char *save, *against;
	size_t probe_bytes, concurrent;
	double probe_s;
	bool pairs_only, ssh_only;
	size_t fanout;
	size_t tokens, top_k, seed;
	double temperature;
	size_t begin_bytes, end_bytes, factor, iters;
	double grace_s, stop_grace_s; /* stop_grace_s 0: not given */
	bool dry_run, json, print, markdown, force, yes, detach, now, follow;
	bool quiet, verbose, help, version;
	int color; /* enum terminal_color */
};

struct flag {
	enum flag_set member;
	struct opt opt;	     /* the key has dashes; OPT_BOOL: takes no value */
	const char *metavar; /* "FILE" */
	char letter;	     /* 'H' for -H; 0: none */
};

/* The rows that `command` takes, one after the other: NULL gives the first, the last gives NULL. */
const struct flag *flags_next(const struct command *command, const struct flag *previous);

/*
 * Reads argv[0 .. argc): flags anywhere, as --key value or --key=value, '_' for '-'; "--" ends
 * them. Says on stderr what is wrong; -1 then, also if the number of operands is wrong. `flags`
 * must be zeroed, and is releasable whatever happened.
 */
int flags_read(struct flags *flags, const struct command *command, int argc, char **argv);
void flags_release(struct flags *flags, const struct command *command);

#endif
