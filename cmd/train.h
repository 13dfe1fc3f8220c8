/* What `run` and `resume` have in common: a checked job on hosts, to its end and its summary. */
#ifndef DSTRAIN_CMD_TRAIN_H
#define DSTRAIN_CMD_TRAIN_H

#include <stdbool.h>

#include "cmd/train_plan.h"
#include "lib/hosts.h"
#include "lib/manifest.h"
#include "lib/provision.h"
#include "lib/rundir.h"
#include "lib/supervise.h"

struct error;
struct flags;
struct job_load;
struct post;

/* Zeroed is valid and empty. */
struct train {
	const struct flags *flags; /* borrowed, as the next */
	struct job_load *load;
	struct hosts hosts;
	struct provision_files files;
	struct rundir rundir;
	struct train_plan plan;
	char *restore_dir; /* NULL: from the beginning */
	struct manifest restore;
	struct post *post;   /* this and the next are set by train_open */
	double started;	     /* since 1970; 0: it is not open */
	uint64_t saved_step; /* out: of the newest checkpoint; 0: none */
};

/* --detach: a process of its own goes on, and this one waits until training has begun there, says
 * where, and has nothing more to do than to end with *status: true. Call it first of all. */
bool train_detach(const struct flags *flags, int *status);
/* The hosts of --hosts, else of `fallback`; what is wrong with them goes to stderr. */
int train_hosts(struct train *train, const char *fallback, struct error *err);
int train_files(struct train *train, struct error *err); /* what workers will need */
/* The run directory exists: writes recipe and hosts to it. */
int train_record(struct train *train, struct error *err);
/* From now on it can be asked and stopped from elsewhere. Once is enough. */
void train_open(struct train *train);
/* It is open, and ends before it trains: for those who ask. Says nothing here. */
void train_give_up(struct train *train, enum supervise_end end, const struct error *why);
/* Opens it; to the end; prints the summary. Returns the exit status; what failed was said. */
int train_launch(struct train *train);
void train_dry_run(const struct train *train); /* prints what train_launch would do */
int train_exit_status(enum supervise_end end);
void train_release(struct train *train);

#endif
