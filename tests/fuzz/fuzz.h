/*
 * What every fuzz target includes first. A target is one file with LLVMFuzzerTestOneInput; it hands
 * its input to a parser as the program does, and aborts where a promise is broken.
 */
#ifndef DSTRAIN_TESTS_FUZZ_H
#define DSTRAIN_TESTS_FUZZ_H

#ifndef _GNU_SOURCE
#error "a fuzz target begins with #define _GNU_SOURCE, for memfd_create"
#endif

#undef NDEBUG
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* A file in memory, for parsers that take a path. */
struct fuzz_file {
	int fd;
	char *path;
};

static inline struct fuzz_file fuzz_file(const char *name)
{
	struct fuzz_file file = { .fd = memfd_create(name, MFD_CLOEXEC) };

	assert(file.fd >= 0);
	file.path = xasprintf("/proc/self/fd/%d", file.fd);
	return file;
}

static inline void fuzz_fill(const struct fuzz_file *file, const void *bytes, size_t length)
{
	assert(ftruncate(file->fd, 0) == 0 && lseek(file->fd, 0, SEEK_SET) == 0);
	assert(file_write_all(file->fd, bytes, length) == 0);
}

/* Takes one byte off the front of the input, which is 0 when there is none. */
static inline uint8_t fuzz_byte(const uint8_t **bytes, size_t *length)
{
	uint8_t byte = *length ? **bytes : 0;

	*bytes += *length != 0;
	*length -= *length != 0;
	return byte;
}

#endif
