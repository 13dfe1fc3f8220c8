/* Measures the links between some hosts: starts a worker on each, and shows how far it is. */
#ifndef DSTRAIN_CMD_PROBE_LAUNCH_H
#define DSTRAIN_CMD_PROBE_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/supervise.h"
#include "lib/survey_text.h"

struct error;
struct hosts;
struct post;
struct provision_files;

/* All borrowed; zeroed but for what is `in`. */
struct probe_launch {
	const struct hosts *hosts;	     /* in: one rank for each slot of theirs */
	const struct provision_files *files; /* in */
	const char *recipe;		     /* in: resolved; of the transport */
	bool threads;			     /* in: as of struct launch, with the next */
	size_t fanout;
	struct survey_params params; /* in: but its groups, which the hosts have */
	const size_t *slots; /* in: ranks that each host will train with, to be tried; NULL: none */
	struct post *post;   /* in: as of struct launch; NULL: none */
	bool live, quiet;    /* in: a line that is rewritten; nothing at all */

	struct survey_report report; /* out: of what is known last, complete or not */
	struct buf failures;	     /* out: as launch.report */
	double shown;		     /* when it was said last how far it is */
};

/* Blocks. For all but DONE, `err` says why, and the report has what was known by then. */
enum supervise_end probe_launch(struct probe_launch *probe, struct error *err);
void probe_launch_release(struct probe_launch *probe);

/* What the survey calls the hosts: the ranks of one are told apart. [slots]; free each, and it. */
char **probe_names(const struct hosts *hosts);

#endif
