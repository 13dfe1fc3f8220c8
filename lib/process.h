/* A started program, on this machine or behind SSH: three streams and a way to end it. */
#ifndef DSTRAIN_LIB_PROCESS_H
#define DSTRAIN_LIB_PROCESS_H

#include <stdbool.h>

struct error;

struct process_status {
	bool exited; /* by itself, with `code` */
	int code;
	int signal;	  /* killed by this signal, if not exited; 0: unknown */
	char reason[256]; /* e.g. "connection to 'node3' lost"; "" if code or signal say it all */
};

struct process_ops {
	/* 1: ended, *status is filled; 0: still running at the deadline (clock_now). */
	int (*wait)(void *state, double deadline, struct process_status *status);
	void (*kill)(void *state, int signal); /* best effort; the whole process group */
	void (*release)(void *state);	       /* after it ended, or giving up on it */
};

/* Zeroed is valid: no process. The descriptors are non-blocking and close-on-exec; whoever closes
 * one sets it to -1. Closing `in` gives the program end of file. */
struct process {
	int in, out, err;
	const struct process_ops *ops;
	void *state;
};

/* Starts argv[0] (a path) here, in a process group of its own, which dies with this process. Call
 * it from the main thread. `environment` is NULL-terminated "NAME=value" texts added to ours; may
 * be NULL. */
int process_start(struct process *out, char *const argv[], char *const environment[],
		  struct error *err);
int process_wait(struct process *process, double deadline, struct process_status *status);
void process_kill(struct process *process, int signal);
void process_release(struct process *process); /* closes what is open; zeroed is fine */

#endif
