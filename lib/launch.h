/* From hosts to a finished run: connect, provision, start a worker per slot, supervise, end. */
#ifndef DSTRAIN_LIB_LAUNCH_H
#define DSTRAIN_LIB_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/supervise.h"

struct control_bench;
struct error;
struct hosts;
struct manifest;
struct post;
struct progress;
struct collect;
struct provision_files;
struct rundir;

struct launch {
	const struct hosts *hosts;
	const struct provision_files *files;
	const struct rundir *rundir; /* NULL: no logs are kept */
	const char *recipe;	     /* resolved, as text */
	bool threads;		     /* the transport wants all ranks as threads of one process */
	size_t fanout;		     /* hosts to set up at once */
	struct progress *progress;
	struct collect *collect;
	const char *restore_dir; /* NULL: from the beginning */
	const struct manifest *restore;
	const struct control_bench *bench; /* NULL: none; else without the four before */
	const char *probe;		   /* as of struct control_plan; NULL: none; as a bench */
	const char *plan;		   /* as of struct control_plan; NULL: none */
	supervise_measured *measured;	   /* as of struct supervise, with its argument */
	void *measured_arg;
	double seconds, grace_s; /* these and the next three as of struct supervise */
	struct post *post;
	void (*begun)(void *arg);
	void *begun_arg;
	struct buf report; /* out: as of struct supervise */
};

/* Blocks until the run has ended and no worker is left. Workers that could not be started: FAILED.
 * Everything wrong with any host is in `report`, the first in `err`. */
enum supervise_end launch(struct launch *launch, struct error *err);

#endif
