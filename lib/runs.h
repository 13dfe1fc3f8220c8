/*
 * The runs of this user on this machine: a small file for each run directory in
 * ~/.local/state/dstrain/runs, and what the directories say. A run lasts as long as its directory
 * is locked; what its orchestrator left behind when it was killed is never taken for it.
 */
#ifndef DSTRAIN_LIB_RUNS_H
#define DSTRAIN_LIB_RUNS_H

#include <stdbool.h>
#include <stddef.h>

struct ask;
struct error;
struct json;

struct run {
	char *name; /* the last part of `dir` */
	char *dir;  /* absolute */
	bool live;  /* an orchestrator works on it */
	/* What is known, as of lib/status: "state" and often more. "starting", "probing" (the
	 * links, before it trains), "training", "stopping" and "silent" (does not answer) are live;
	 * "done", "stopped", "aborted", "failed", "lost" and "killed" (with its orchestrator) are
	 * not. */
	struct json *facts;
};

#define RUN_RESULT "result.json" /* in the run directory: the facts of one that ended */

/* Makes a run known; the orchestrator does that, with the lock on `dir`. */
int runs_enter(const char *dir, struct error *err);
/* All that are known, oldest first; those whose directory is gone are forgotten. */
int runs_list(struct run **out, size_t *count, struct error *err);
void runs_free(struct run *runs, size_t count);

/* A run directory, or the name of a run that is known. */
int run_find(struct run *out, const char *word, struct error *err);
/* The same without a look at it: its directory as it was given, or of that name (caller frees). */
char *run_path(const char *word, struct error *err);
void run_look(struct run *run); /* again: `live` and `facts` */
/* Puts a question to its orchestrator, which may only just have been started. Gives up when the run
 * has ended, a signal came (lib/stop), or nobody listens for some seconds. */
int run_ask(const struct run *run, const struct json *question, struct ask *ask, struct error *err);
const char *run_state(const struct run *run);
/* What may be done about one that was killed; looks for checkpoints. Caller frees. */
char *run_remedy(const struct run *run);
/* Looks until it has ended, at most so long; false: it has not. */
bool run_await_end(struct run *run, double seconds);
void run_release(struct run *run);

#endif
