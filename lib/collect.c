/* Collects checkpoints from the ranks' files. */
#include "lib/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/control.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"

static char *step_dir(const char *dir, uint64_t step)
{
	return xasprintf("%s/step-%llu", dir, (unsigned long long)step);
}

static char *temporary_dir(const char *dir, uint64_t step)
{
	return xasprintf("%s/.step-%llu.tmp", dir, (unsigned long long)step);
}

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
	dir = temporary_dir(collect->dir, step);
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

/* What is still to come of a checkpoint: it is as large as the one before, or as the files that
 * have begun to come. */
static uint64_t bytes_left(const struct collect *collect, const struct collect_pending *pending)
{
	uint64_t bytes = 0, written = 0;

	for (size_t i = 0; i < pending->file_count; i++) {
		bytes += pending->files[i].size;
		written += pending->files[i].written;
	}
	if (bytes < collect->last_bytes)
		bytes = collect->last_bytes;
	return bytes - written;
}

static int refuse_write(const struct collect *collect, const struct collect_pending *pending,
			const char *path, int reason, struct error *err)
{
	struct statvfs disk;

	if ((reason == ENOSPC || reason == EDQUOT) && statvfs(collect->dir, &disk) == 0)
		return error_set(err,
				 "cannot write '%s': %s; the checkpoint needs %llu bytes more, and "
				 "%llu are free; make room, and resume",
				 path, strerror(reason),
				 (unsigned long long)bytes_left(collect, pending),
				 (unsigned long long)disk.f_bavail * disk.f_frsize);
	return error_set(err, "cannot write '%s': %s", path, strerror(reason));
}

static size_t find_file(struct collect_pending *pending, const struct control_chunk *chunk)
{
	size_t i = 0;

	while (i < pending->file_count && strcmp(pending->files[i].name, chunk->name) != 0)
		i++;
	if (i < pending->file_count)
		return i;
	pending->files = xrealloc(pending->files, ++pending->file_count, sizeof(*pending->files));
	pending->files[i].name = xstrdup(chunk->name);
	pending->files[i].written = 0;
	pending->files[i].size = chunk->size;
	return i;
}

/* Appends; each rank sends its files in order, and no two ranks one of the same name. */
static int append(const struct collect *collect, struct collect_pending *pending,
		  const struct control_chunk *chunk, struct error *err)
{
	size_t i = find_file(pending, chunk);
	char *path;
	int fd, status = 0;

	if (chunk->offset != pending->files[i].written || chunk->size != pending->files[i].size)
		return error_set(err, "checkpoint file '%s' came out of order", chunk->name);
	path = path_join(pending->dir, chunk->name);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || file_write_all(fd, chunk->bytes, chunk->length) < 0)
		status = refuse_write(collect, pending, path, errno, err);
	else
		pending->files[i].written += chunk->length;
	if (status == 0 && pending->files[i].written == chunk->size && fsync(fd) < 0)
		status = refuse_write(collect, pending, path, errno, err);
	if (fd >= 0)
		close(fd);
	free(path);
	return status;
}

int collect_chunk(struct collect *collect, const struct control_chunk *chunk, struct error *err)
{
	struct collect_pending *pending = begin(collect, chunk->step, err);

	return pending ? append(collect, pending, chunk, err) : -1;
}

/* "step-500" -> 500; 0 for names that `to_name` does not give. */
static uint64_t step_of(const char *name, char *to_name(const char *dir, uint64_t step))
{
	const char *digits = strpbrk(name, "0123456789");
	unsigned long long step = 0;
	char *path;

	if (!digits || sscanf(digits, "%llu", &step) != 1)
		return 0;
	path = to_name("", step);
	if (strcmp(path + 1, name) != 0)
		step = 0;
	free(path);
	return step;
}

/* The steps that have a directory of such a name, newest first; caller frees. */
static uint64_t *list_steps(const char *dir, char *to_name(const char *dir, uint64_t step),
			    size_t *count)
{
	DIR *open = opendir(dir);
	uint64_t *steps = NULL;
	struct dirent *entry;

	*count = 0;
	while (open && (entry = readdir(open))) {
		uint64_t step = step_of(entry->d_name, to_name);
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

/* Under its temporary name, so that nobody takes what is half removed for a torn checkpoint. */
static int discard(const struct collect *collect, uint64_t step, struct error *err)
{
	char *dir = step_dir(collect->dir, step), *temporary = temporary_dir(collect->dir, step);
	int status = dir_remove(temporary, err);

	if (status == 0 && rename(dir, temporary) < 0)
		status = error_set(err, "cannot rename '%s': %s", dir, strerror(errno));
	if (status == 0)
		status = dir_remove(temporary, err);
	free(dir);
	free(temporary);
	return status;
}

/* Old checkpoints go only after the new one is safe. Later ones are damaged ones of an earlier try,
 * and do not count. */
static void prune(const struct collect *collect)
{
	size_t count, kept = 0;
	uint64_t *steps = list_steps(collect->dir, step_dir, &count);
	struct error err;

	for (size_t i = 0; i < count; i++) {
		kept += steps[i] <= collect->last_step;
		if (kept > collect->keep && discard(collect, steps[i], &err) < 0)
			log_warn("%s", err.text);
	}
	free(steps);
}

void collect_remove_stale(struct collect *collect)
{
	size_t count;
	uint64_t *steps = list_steps(collect->dir, temporary_dir, &count);
	struct error err;

	for (size_t i = 0; i < count; i++) {
		char *dir = temporary_dir(collect->dir, steps[i]);

		if (!find(collect, steps[i]) && dir_remove(dir, &err) < 0)
			log_warn("%s", err.text);
		free(dir);
	}
	free(steps);
}

static int add_file(struct manifest *manifest, const struct collect_pending *pending, size_t i,
		    struct error *err)
{
	const char *name = pending->files[i].name;

	if (pending->files[i].written < pending->files[i].size)
		return error_set(err, "the end of '%s' did not come", name);
	return manifest_add(manifest, pending->dir, name, err);
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
		status = add_file(&manifest, pending, i, err);
	if (status == 0)
		status = manifest_write(&manifest, pending->dir, err);
	if (status == 0)
		status = dir_remove(final, err); /* left by an earlier try at the same step */
	if (status == 0 && rename(pending->dir, final) < 0)
		status = error_set(err, "cannot rename to '%s': %s", final, strerror(errno));
	if (status == 0)
		status = dir_sync(collect->dir, err);
	if (status == 0)
		collect->last_bytes = manifest_bytes(&manifest);
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
	collect_remove_stale(collect);
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

static void add_found(struct collect_found **found, size_t *count, const char *dir,
		      char *to_name(const char *dir, uint64_t step))
{
	size_t steps_count;
	uint64_t *steps = list_steps(dir, to_name, &steps_count);

	*found = xrealloc(*found, *count + steps_count, sizeof(**found));
	while (steps_count-- > 0) /* newest first before, oldest first after */
		(*found)[(*count)++] =
			(struct collect_found){ .step = steps[steps_count],
						.path = to_name(dir, steps[steps_count]),
						.unfinished = to_name == temporary_dir };
	free(steps);
}

struct collect_found *collect_list(const char *dir, size_t *count)
{
	struct collect_found *found = NULL;

	*count = 0;
	add_found(&found, count, dir, step_dir);
	add_found(&found, count, dir, temporary_dir);
	return found;
}

void collect_found_free(struct collect_found *found, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(found[i].path);
	free(found);
}

static int check_step(struct manifest *manifest, uint64_t step, struct error *err)
{
	uint64_t said = manifest->step;

	if (said == step)
		return 0;
	manifest_release(manifest);
	return error_set(err, "it is of step %llu", (unsigned long long)said);
}

int collect_parse(struct manifest *out, const struct collect_found *found, struct error *err)
{
	if (manifest_parse(out, found->path, err) < 0)
		return -1;
	return check_step(out, found->step, err);
}

static int read_checkpoint(struct manifest *manifest, const char *dir, uint64_t step,
			   struct error *err)
{
	if (manifest_read(manifest, dir, err) < 0)
		return -1;
	return check_step(manifest, step, err);
}

char *collect_newest(const char *dir, struct manifest *manifest, struct error *err)
{
	size_t count;
	uint64_t *steps = list_steps(dir, step_dir, &count);
	char *found = NULL;

	for (size_t i = 0; i < count && !found; i++) {
		char *candidate = step_dir(dir, steps[i]);

		if (read_checkpoint(manifest, candidate, steps[i], err) == 0) {
			found = candidate;
		} else {
			log_warn("skipping checkpoint step-%llu: %s", (unsigned long long)steps[i],
				 err->text);
			free(candidate);
		}
	}
	if (!found)
		error_set(err, "no valid checkpoint in '%s'", dir);
	free(steps);
	return found;
}
