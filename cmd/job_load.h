/* From a recipe file and flags to a job. */
#ifndef DSTRAIN_CMD_JOB_LOAD_H
#define DSTRAIN_CMD_JOB_LOAD_H

#include <stdbool.h>

#include "lib/setting.h"
#include "runtime/job.h"

struct error;
struct flags;
struct model;
struct plan;

struct job_load {
	bool trained;		  /* in: there is a checkpoint (job_begun) */
	struct settings given;	  /* the recipe with --set, --hosts, --data and --links */
	struct settings resolved; /* the same with every default: itself a recipe */
	struct job job;
	struct problems problems; /* what is wrong, in the order of the lines */
	double sample_bytes;	  /* of all training samples; set by job_load_model */
	size_t room;		  /* ranks of the emulated network; 0: none */
};

/*
 * Reads the recipe at `path`, then --set, --emulate, --hosts, --data and --links, and judges it
 * all: keys, values, files. Returns 0, or -1 with at least one problem (a file that cannot be read
 * is one, too). `load` must be zeroed but for `trained`, and is releasable whatever happened.
 * Borrows `path` and `flags`.
 */
int job_load(struct job_load *load, const char *path, const struct flags *flags);
/* The same from text; `name` stands for the file, and is borrowed. */
int job_load_text(struct job_load *load, const char *text, const char *name,
		  const struct flags *flags);
/* Of a good recipe that leaves its strategy to the plan: what was chosen takes its place. NULL:
 * there is no plan. Its compressor stays if it `keeps` that. */
void job_load_settle(struct job_load *load, const struct plan *plan, bool keeps);
/* Whether the recipe can be trained by so many ranks. */
int job_load_fits(const struct job_load *load, size_t ranks, struct error *err);
/*
 * The model that each of `ranks` would build for samples like `data`, without memory to run it;
 * NULL after adding to load->problems what speaks against it. Caller frees with model_free before
 * it releases `load`.
 */
struct model *job_load_model(struct job_load *load, const struct dataset *data, size_t ranks);
/* The same for the data that the recipe names, which an error is about. *model is NULL if something
 * speaks against it. */
int job_load_build(struct job_load *load, size_t ranks, struct model **model, struct error *err);
void job_load_report(const struct job_load *load); /* all problems, on stderr */
void job_load_release(struct job_load *load);

#endif
