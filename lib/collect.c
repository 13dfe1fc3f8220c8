/* Collects checkpoints from the ranks' files. */
#include "lib/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/control.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"

static struct collect_pending *find(struct collect *collect, uint64_t step)
{
	for (size_t i = 0; i < collect->pending_count; i++)
		if (collect->pending[i].step == step)
			return &collect->pending[i];
	return NULL;
}

static void pending_release(struct collect_pending *pending)
{
	for (size_t i = 0; i < pending->file_count; i++)
		free(pending->files[i].name);
	free(pending->files);
	free(pending->dir);
}

static struct collect_pending *begin(struct collect *collect, uint64_t step, struct error *err)
{
	struct collect_pending *pending = find(collect, step);
	char *dir;

	if (pending)
		return pending;
	dir = xasprintf("%s/.step-%llu.tmp", collect->dir, (unsigned long long)step);
	if (dir_remove(dir, err) < 0 || dir_make(dir, err) < 0) {
		free(dir);
		return NULL;
	}
	collect->pending =
		xrealloc(collect->pending, collect->pending_count + 1, sizeof(*collect->pending));
	pending = &collect->pending[collect->pending_count++];
	*pending = (struct collect_pending){ .step = step, .dir = dir };
	return pending;
}

/* Appends; each rank sends its files in order, and no two ranks one of the same name. */
static int append(struct collect_pending *pending, const struct control_chunk *chunk,
		  struct error *err)
{
	size_t i = 0;
	char *path = path_join(pending->dir, chunk->name);
	int fd, status = 0;

	while (i < pending->file_count && strcmp(pending->files[i].name, chunk->name) != 0)
		i++;
	if (i == pending->file_count) {
		pending->files =
			xrealloc(pending->files, ++pending->file_count, sizeof(*pending->files));
		pending->files[i].name = xstrdup(chunk->name);
		pending->files[i].written = 0;
		pending->files[i].size = chunk->size;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (chunk->offset != pending->files[i].written)
		status = error_set(err, "checkpoint file '%s' came out of order", chunk->name);
	else if (fd < 0 || file_write_all(fd, chunk->bytes, chunk->length) < 0)
		status = error_set(err, "cannot write '%s': %s", path, strerror(errno));
	else
		pending->files[i].written += chunk->length;
	if (status == 0 && pending->files[i].written == chunk->size && fsync(fd) < 0)
		status = error_set(err, "cannot sync '%s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(path);
	return status;
}

int collect_chunk(struct collect *collect, const struct control_chunk *chunk, struct error *err)
{
	struct collect_pending *pending = begin(collect, chunk->step, err);

	return pending ? append(pending, chunk, err) : -1;
}

/* "step-500" -> 500; 0 for other names. */
static uint64_t step_of(const char *name)
{
	unsigned long long step;
	char rest;

	return sscanf(name, "step-%llu%c", &step, &rest) == 1 ? step : 0;
}

/* The steps that have a directory, newest first; caller frees. */
static uint64_t *list_steps(const char *dir, size_t *count)
{
	DIR *open = opendir(dir);
	uint64_t *steps = NULL;
	struct dirent *entry;

	*count = 0;
	while (open && (entry = readdir(open))) {
		uint64_t step = step_of(entry->d_name);
		size_t at = *count;

		if (!step)
			continue;
		steps = xrealloc(steps, ++*count, sizeof(*steps));
		for (; at > 0 && steps[at - 1] < step; at--)
			steps[at] = steps[at - 1];
		steps[at] = step;
	}
	if (open)
		closedir(open);
	return steps;
}

static char *step_dir(const char *dir, uint64_t step)
{
	return xasprintf("%s/step-%llu", dir, (unsigned long long)step);
}

/* Old checkpoints go only after the new one is safe. */
static void prune(const struct collect *collect)
{
	size_t count;
	uint64_t *steps = list_steps(collect->dir, &count);
	struct error err;

	for (size_t i = collect->keep; i < count; i++) {
		char *dir = step_dir(collect->dir, steps[i]);

		if (dir_remove(dir, &err) < 0)
			log_warn("%s", err.text);
		free(dir);
	}
	free(steps);
}

static int commit(struct collect *collect, struct collect_pending *pending, double elapsed_s,
		  struct error *err)
{
	struct manifest manifest = collect->likeness;
	char *final = step_dir(collect->dir, pending->step);
	int status = 0;

	manifest.step = pending->step;
	manifest.elapsed_s = elapsed_s;
	for (size_t i = 0; i < pending->file_count && status == 0; i++)
		status = manifest_add(&manifest, pending->dir, pending->files[i].name, err);
	if (status == 0)
		status = manifest_write(&manifest, pending->dir, err);
	if (status == 0)
		status = dir_remove(final, err); /* left by an earlier try at the same step */
	if (status == 0 && rename(pending->dir, final) < 0)
		status = error_set(err, "cannot rename to '%s': %s", final, strerror(errno));
	if (status == 0)
		status = dir_sync(collect->dir, err);
	manifest_release(&manifest);
	free(final);
	return status;
}

int collect_end(struct collect *collect, uint64_t step, double elapsed_s, struct error *err)
{
	struct collect_pending *pending = begin(collect, step, err);

	if (!pending)
		return -1;
	if (++pending->complete < collect->likeness.world)
		return 0;
	if (commit(collect, pending, elapsed_s, err) < 0)
		return error_prefix(err, "checkpoint of step %llu", (unsigned long long)step);
	collect->last_step = step;
	pending_release(pending);
	*pending = collect->pending[--collect->pending_count];
	prune(collect);
	return 1;
}

void collect_release(struct collect *collect)
{
	struct error ignored;

	for (size_t i = 0; i < collect->pending_count; i++) {
		dir_remove(collect->pending[i].dir, &ignored);
		pending_release(&collect->pending[i]);
	}
	free(collect->pending);
	free(collect->dir);
	*collect = (struct collect){ 0 };
}

char *collect_newest(const char *dir, struct manifest *manifest, struct error *err)
{
	size_t count;
	uint64_t *steps = list_steps(dir, &count);
	char *found = NULL;

	for (size_t i = 0; i < count && !found; i++) {
		char *candidate = step_dir(dir, steps[i]);

		if (manifest_read(manifest, candidate, err) == 0) {
			found = candidate;
		} else {
			log_warn("skipping checkpoint step-%llu: %s", (unsigned long long)steps[i],
				 err->text);
			free(candidate);
		}
	}
	if (!found)
		error_set(err, "no valid checkpoint in '%s'; start again with: dstrain run", dir);
	free(steps);
	return found;
}
