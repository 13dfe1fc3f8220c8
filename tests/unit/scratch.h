/* A directory of the test program's own, as the working directory of all its tests. */
#ifndef DSTRAIN_TESTS_SCRATCH_H
#define DSTRAIN_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* A new file each time, not flushed as file_write does: tests write thousands. */
static inline void scratch_write(const char *name, const void *bytes, size_t length)
{
	FILE *file;

	remove(name);
	file = fopen(name, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	fclose(file);
}

static inline void write_text(const char *name, const char *text)
{
	scratch_write(name, text, strlen(text));
}

#endif
