/* A directory of the test program's own, as the working directory of all its tests. */
#ifndef DSTRAIN_TESTS_SCRATCH_H
#define DSTRAIN_TESTS_SCRATCH_H

#include <stdlib.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"

static char scratch[] = "/tmp/dstrain-test-XXXXXX";

static inline int scratch_make(void **state)
{
	(void)state;
	return mkdtemp(scratch) ? chdir(scratch) : -1;
}

static inline int scratch_remove(void **state)
{
	struct error err;

	(void)state;
	return chdir("/") == 0 ? dir_remove(scratch, &err) : -1;
}

#endif
