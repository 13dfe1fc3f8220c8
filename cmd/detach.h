/* A run that goes on by itself: started in front of the user, left alone once training begins. */
#ifndef DSTRAIN_CMD_DETACH_H
#define DSTRAIN_CMD_DETACH_H

#include <stdbool.h>

struct error;

/*
 * Forks, before there are threads. The child returns 0 and does the work, in a session of its own
 * and still saying what it says to the user. The parent waits for it, and returns 1: *status is
 * then what it ends with, and *run_dir (caller frees) where the run is, if training has begun.
 */
int detach_fork(int *status, char **run_dir, struct error *err);
/* In the child: training has begun. What it says goes to `log_path` from here on. */
void detach_begun(const char *run_dir, const char *log_path);

#endif
