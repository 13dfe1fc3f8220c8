/*
 * What the ranks report, put together: metrics.jsonl, the live line on the terminal (plain lines
 * elsewhere), and the figures for the table at the end.
 */
#ifndef DSTRAIN_LIB_PROGRESS_H
#define DSTRAIN_LIB_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/traffic.h"

struct control_ready;
struct control_step;
struct error;
struct json;
struct post;
struct progress;

struct progress_env {
	const char *metrics_path;
	uint32_t world;
	bool live;	     /* one line, rewritten; needs a terminal on stderr */
	bool quiet;	     /* neither live nor plain lines */
	uint64_t start_step; /* later records of an earlier try are dropped from the file */
	double elapsed_s;    /* trained before */
};

/* One evaluation, or the state at the end. Accuracies are fractions; NAN: not known. */
struct progress_eval {
	uint64_t step, epoch;
	double train_loss, loss, accuracy, elapsed_s;
	double worst_loss, worst_accuracy; /* of the ranks' own weights, where they differ */
};

/* Figures of a run so far. */
struct progress_totals {
	uint64_t step, steps, steps_per_epoch, samples_seen, parameters;
	struct traffic traffic;
	uint64_t start_step; /* done before this try, as env->start_step */
	double elapsed_s;    /* over all resumes */
	double here_s;	     /* since the start of this one */
	double last_loss;
	const struct progress_eval *evals; /* [eval_count], owned by the progress */
	size_t eval_count;
	const double *step_s; /* [step_count] of the steps since the start of this one; likewise */
	size_t step_count;
};

struct progress *progress_open(const struct progress_env *env, struct error *err);
void progress_begin(struct progress *progress,
		    const struct control_ready *ready); /* clock starts */
/* A step (an evaluation) is complete once every rank reported it; sums are made in rank order. */
int progress_step(struct progress *progress, unsigned rank, const struct control_step *step,
		  struct error *err);
int progress_eval(struct progress *progress, unsigned rank, const struct control_step *step,
		  struct error *err);
/* What an evaluation has of the ranks' own weights; nothing where they are the same. */
void progress_add_worst(struct json *to, const struct progress_eval *eval);
double progress_elapsed(const struct progress *progress);
struct progress_totals progress_totals(const struct progress *progress);
/* The live line to those who are attached, now and then. */
void progress_post(const struct progress *progress, struct post *post);
void progress_show(const char *full, const char *narrow); /* as the live line, on a terminal */
/* Takes the live line off the terminal before something else is written there. */
void progress_hide(void);
void progress_close(struct progress *progress); /* may be NULL */

#endif
