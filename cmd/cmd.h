/* What a subcommand is. Each lives in a file of its own, and has a row in cmd/main.c. */
#ifndef DSTRAIN_CMD_CMD_H
#define DSTRAIN_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/flags.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2, /* the command line, the recipe or the hosts are wrong */
	EXIT_LOST = 3,	/* a host or a rank was lost */
};

/* What completion offers for the first operand. */
enum operand_kind { OPERAND_NONE, OPERAND_FILE, OPERAND_DIRECTORY, OPERAND_WORD, OPERAND_CATEGORY };

struct command {
	const char *name;
	const char *operands; /* as in "dstrain run RECIPE"; "" if there are none */
	size_t least, most;   /* how many */
	enum operand_kind operand_kind;
	const char *const *words;	       /* NULL-terminated, for OPERAND_WORD */
	unsigned flags;			       /* enum flag_set */
	const char *summary;		       /* half a line */
	const char *details;		       /* sentences, for --help; may be NULL */
	bool hidden;			       /* not for people: no help, no completion */
	int (*run)(const struct flags *flags); /* returns the exit status */
};

extern const struct command attach_command, bench_command, check_command, ckpt_command,
	clean_command, completion_command, eval_command, hosts_command, list_command, logs_command,
	plan_command, probe_command, ps_command, reach_command, resume_command, run_command,
	sample_command, status_command, stop_command, worker_command;

extern const struct command *const commands[]; /* of all; NULL-terminated */

#endif
