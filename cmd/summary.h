/* The end of a run, for people as a table and for programs as JSON. */
#ifndef DSTRAIN_CMD_SUMMARY_H
#define DSTRAIN_CMD_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/progress.h"
#include "lib/supervise.h"

struct error;

/* All borrowed. */
struct summary {
	enum supervise_end end;
	const struct error *why; /* read unless done or stopped */
	const char *name, *rundir;
	size_t hosts, world;
	uint64_t checkpoint_step; /* 0: none */
	struct progress_totals totals;
	int exit_status;
};

void summary_print(const struct summary *summary);
void summary_print_json(const struct summary *summary);

#endif
