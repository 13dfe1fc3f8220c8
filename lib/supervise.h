/* Watches started workers from their first word to their last. */
#ifndef DSTRAIN_LIB_SUPERVISE_H
#define DSTRAIN_LIB_SUPERVISE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

struct channel;
struct collect;
struct control_plan;
struct control_frame;
struct error;
struct manifest;
struct post;
struct progress;
struct pulse;

enum supervise_end {
	SUPERVISE_DONE,	   /* all steps done, last checkpoint on disk */
	SUPERVISE_STOPPED, /* by a signal, after a checkpoint */
	SUPERVISE_ABORTED, /* by a second signal, at once, or when the grace time was over */
	SUPERVISE_FAILED,  /* a rank reported an error of its own */
	SUPERVISE_LOST,	   /* a rank or host went away */
};

/* Takes a ROW or SURVEY frame: what a bench or a probe has measured. */
typedef int supervise_measured(void *arg, const struct control_frame *frame, struct error *err);

struct supervise {
	struct channel *channels; /* [count], in rank order */
	size_t count;
	/* What all workers are told; per worker, the first_rank, ranks, network, data_addr,
	 * cache_dir come from `plan_of`. */
	void (*plan_of)(void *arg, size_t channel, struct control_plan *plan);
	void *arg;
	uint32_t world;
	const char *digest;  /* of this program: workers must have the same */
	struct pulse *pulse; /* of the channels */
	struct progress *progress;
	struct collect *collect;
	const char *restore_dir;	/* a checkpoint's directory, or NULL */
	const struct manifest *restore; /* its manifest */
	supervise_measured *measured;	/* then the four before are NULL; NULL: train */
	void *measured_arg;
	double seconds;		  /* after which training ends, if it has not before; 0: no limit */
	double grace_s;		  /* for a checkpoint and the end, once a stop was asked for */
	struct post *post;	  /* NULL: nobody can ask */
	void (*begun)(void *arg); /* called once, when training begins; may be NULL */
	void *begun_arg;
	struct buf report; /* out: further lines on a failure, for people */
};

/* Blocks until all workers ended. For all but DONE and STOPPED, `err` says who and why. */
enum supervise_end supervise(struct supervise *s, struct error *err);

#endif
