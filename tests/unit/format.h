/* For tests of data formats: files in a directory of their own, and recipes as texts. */
#ifndef DSTRAIN_TESTS_FORMAT_H
#define DSTRAIN_TESTS_FORMAT_H

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "tests/format.h"
#include "tests/unit/scratch.h"

/* An array as NumPy saves it, version 1. `type`: "<f4"; `shape`: "3, 2" or "3,". */
static inline void npy_write(const char *name, const char *type, const char *shape,
			     const void *elements, size_t length)
{
	char *header =
		xasprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, shape);
	struct buf bytes = { 0 };

	buf_add(&bytes, "\x93NUMPY\1\0", 8);
	wire_put_u16(&bytes, 118);
	buf_addf(&bytes, "%-117s\n", header);
	buf_add(&bytes, elements, length);
	scratch_write(name, bytes.data, bytes.length);
	buf_release(&bytes);
	free(header);
}

/* Packs a file of the scratch directory with gzip(1). */
static inline void scratch_pack(const char *name, const char *packed)
{
	char program[] = "gzip", options[] = "-kfn", *file = xstrdup(name);
	char *const command[] = { program, options, file, NULL };
	char *result = xasprintf("%s.gz", name);
	int status;
	pid_t pid;

	assert_int_equal(posix_spawnp(&pid, program, NULL, NULL, command, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(rename(result, packed), 0);
	free(result);
	free(file);
}

/* As format_read_part, of settings that are right. */
static inline struct part format_part(const char *format, const char *settings)
{
	struct problems problems = { 0 };
	struct part part = format_read_part(format, settings, &problems);

	assert_string_equal(buf_text(&problems.text), "");
	problems_release(&problems);
	return part;
}

static inline int format_load(const struct part *part, enum data_part which, struct dataset *out,
			      struct error *err)
{
	const struct data_format *format = (const struct data_format *)(const void *)part->entry;

	return format->load(part->params, which, 1, out, err);
}

static inline struct dataset format_loaded(const struct part *part, enum data_part which)
{
	struct error err = { "" };
	struct dataset dataset;

	if (format_load(part, which, &dataset, &err) < 0)
		fail_msg("%s: %s", part->entry->name, err.text);
	return dataset;
}

static inline struct dataset format_read(const char *format, const char *settings,
					 enum data_part which)
{
	struct part part = format_part(format, settings);
	struct dataset dataset = format_loaded(&part, which);

	part_release(&part);
	return dataset;
}

/* `text` as the training part, in a file of that name; `more` are settings beside it. */
static inline struct dataset format_read_text(const char *format, const char *name,
					      const char *text, const char *more)
{
	char *settings = xasprintf("train=%s %s", name, more);
	struct dataset dataset;

	write_text(name, text);
	dataset = format_read(format, settings, DATA_TRAIN);
	free(settings);
	return dataset;
}

static inline void format_refuses(const char *format, const char *settings, enum data_part which,
				  const char *message)
{
	struct part part = format_part(format, settings);
	struct dataset dataset;
	struct error err = { "it was loaded" };

	if (format_load(&part, which, &dataset, &err) == 0)
		dataset_release(&dataset);
	assert_string_equal(err.text, message);
	part_release(&part);
}

static inline void format_refuses_text(const char *format, const char *name, const char *text,
				       const char *more, const char *message)
{
	char *settings = xasprintf("train=%s %s", name, more);

	write_text(name, text);
	format_refuses(format, settings, DATA_TRAIN, message);
	free(settings);
}

#endif
