/* The end of a run, for people as a table and for programs as JSON. */
#ifndef DSTRAIN_CMD_SUMMARY_H
#define DSTRAIN_CMD_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/progress.h"
#include "lib/supervise.h"

struct error;
struct json;
struct plan;

/* All borrowed. */
struct summary {
	enum supervise_end end;
	const struct error *why; /* read unless done or stopped */
	const char *report;	 /* lines on a failure; may be NULL */
	const char *name, *rundir;
	size_t hosts, world;
	uint64_t checkpoint_step; /* 0: none */
	struct progress_totals totals;
	const struct plan *plan; /* NULL: none */
	double started;		 /* of this try, since 1970 */
	int exit_status;
};

struct json *summary_json(const struct summary *summary); /* caller frees */
/* From what summary_json made. */
void summary_print(const struct json *result);
/* Why it did not reach its end, and how to go on, on the log. */
void summary_tell(const struct json *result);

#endif
