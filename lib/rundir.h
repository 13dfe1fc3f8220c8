/* The directory of a run: everything that anybody wants to know of it afterwards. */
#ifndef DSTRAIN_LIB_RUNDIR_H
#define DSTRAIN_LIB_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>

struct error;

/* Locked against a second dstrain as long as it is open. Zeroed is valid. */
struct rundir {
	char *path;
	int lock; /* descriptor; -1 or 0: none */
};

/* Makes `path`, or, if that is NULL, "runs/NAME", "runs/NAME-2", ... whichever is free. Free is
 * also an empty directory, and that of a run which ended before its first step. */
int rundir_create(struct rundir *out, const char *path, const char *name, struct error *err);
int rundir_open(struct rundir *out, const char *path, struct error *err); /* of an earlier run */
/* Another dstrain has it open, just now. */
bool rundir_in_use(const char *path);
char *rundir_file(const struct rundir *rundir, const char *name); /* caller frees */
int rundir_write(const struct rundir *rundir, const char *name, const void *bytes, size_t length,
		 struct error *err);
void rundir_release(struct rundir *rundir);

#endif
