/* The directory of a run. */
#define _DEFAULT_SOURCE /* flock */
#include "lib/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/collect.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/memory.h"

enum { GLANCES = 5 };

#define GLANCE_S 0.01

/* Who only looks has the lock for a moment, too (rundir_in_use). */
static int lock_patiently(int fd)
{
	int status = flock(fd, LOCK_EX | LOCK_NB);

	for (int i = 0; i < GLANCES && status < 0 && errno == EWOULDBLOCK; i++) {
		clock_sleep(GLANCE_S);
		status = flock(fd, LOCK_EX | LOCK_NB);
	}
	return status;
}

/* 0: it is ours; 1: it is another dstrain's, err says so; -1: it cannot be locked. */
static int lock(struct rundir *rundir, struct error *err)
{
	char *path = rundir_file(rundir, "lock");
	int status = 0;

	if (rundir->lock >= 0)
		close(rundir->lock);
	rundir->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (rundir->lock < 0) {
		status = error_set(err, "cannot write '%s': %s", path, strerror(errno));
	} else if (lock_patiently(rundir->lock) < 0) {
		status = errno == EWOULDBLOCK ? 1 : -1;
		if (status > 0)
			error_set(err, "'%s' is in use by another dstrain", rundir->path);
		else
			error_set(err, "cannot lock '%s': %s", path, strerror(errno));
	}
	free(path);
	return status;
}

/* But for our lock. */
static bool is_empty(const char *path)
{
	static const char *const allowed[] = { ".", "..", "lock" };
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool empty = dir != NULL;

	while (empty && (entry = readdir(dir))) {
		empty = false;
		for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
			empty |= strcmp(entry->d_name, allowed[i]) == 0;
	}
	if (dir)
		closedir(dir);
	return empty;
}

/* A run that ended before its first step: there is nothing in it to lose. */
static bool untrained(const char *path)
{
	char *recipe = path_join(path, "recipe.yaml"), *metrics = path_join(path, "metrics.jsonl");
	struct error ignored;
	uint64_t bytes = 0;
	bool empty =
		file_exists(recipe) && (file_size(&bytes, metrics, &ignored) < 0 || bytes == 0);

	free(recipe);
	free(metrics);
	return empty;
}

static bool is_free(const char *path)
{
	return is_empty(path) || untrained(path);
}

/* 0: the directory is ours; 1: it is somebody's; -1: it cannot be made. */
static int take(struct rundir *rundir, const char *path, struct error *err)
{
	int status;

	free(rundir->path);
	rundir->path = xstrdup(path);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(err, "cannot create directory '%s': %s", path, strerror(errno));
	if (!is_free(path))
		return 1;
	status = lock(rundir, err);
	/* Looked at again under the lock: another may have had it until just now. */
	return status == 0 && !is_free(path) ? 1 : status;
}

/* Takes a free name below runs/. */
static int make_named(struct rundir *rundir, const char *name, struct error *err)
{
	if (dir_make("runs", err) < 0)
		return -1;
	for (unsigned i = 1; i < 100000; i++) {
		char *path = i == 1 ? xasprintf("runs/%s", name) : xasprintf("runs/%s-%u", name, i);
		int status = take(rundir, path, err);

		free(path);
		if (status <= 0)
			return status;
	}
	return error_set(err, "too many runs named '%s' in 'runs'", name);
}

static bool has_checkpoint(const char *path)
{
	char *checkpoints = path_join(path, "checkpoints");
	size_t count;
	struct collect_found *found = collect_list(checkpoints, &count);
	bool finished = count > 0 && !found[0].unfinished; /* these come last */

	collect_found_free(found, count);
	free(checkpoints);
	return finished;
}

static int make_given(struct rundir *rundir, const char *path, struct error *err)
{
	char *recipe;
	int status;

	if (dir_make(path, err) < 0)
		return -1;
	status = take(rundir, path, err);
	if (status <= 0)
		return status;
	recipe = path_join(path, "recipe.yaml");
	if (!file_exists(recipe))
		error_set(err, "'%s' is not empty; choose another directory", path);
	else if (rundir_in_use(path))
		error_set(err, "'%s' is in use by another dstrain", path);
	else if (has_checkpoint(path))
		error_set(err, "'%s' is not empty; to go on with it: dstrain resume %s", path,
			  path);
	else
		error_set(err,
			  "'%s' is of a run that left no checkpoint to go on from; choose another "
			  "directory, or remove it",
			  path);
	free(recipe);
	return -1;
}

int rundir_create(struct rundir *out, const char *path, const char *name, struct error *err)
{
	struct rundir rundir = { .lock = -1 };
	int status = path ? make_given(&rundir, path, err) : make_named(&rundir, name, err);

	if (status == 0) {
		char *logs = rundir_file(&rundir, "logs");
		char *checkpoints = rundir_file(&rundir, "checkpoints");

		status = dir_remove(logs, err) < 0 || dir_make(logs, err) < 0 ||
					 dir_make(checkpoints, err) < 0
				 ? -1
				 : 0;
		free(logs);
		free(checkpoints);
	}
	if (status < 0)
		rundir_release(&rundir);
	else
		*out = rundir;
	return status;
}

int rundir_open(struct rundir *out, const char *path, struct error *err)
{
	struct rundir rundir = { .path = xstrdup(path), .lock = -1 };
	char *recipe = rundir_file(&rundir, "recipe.yaml");
	int status = 0;

	if (!file_exists(recipe))
		status = error_set(err, "'%s' is not a run directory: it has no recipe.yaml", path);
	else
		status = lock(&rundir, err);
	free(recipe);
	if (status != 0)
		rundir_release(&rundir);
	else
		*out = rundir;
	return status == 0 ? 0 : -1;
}

/* By a lock that others who look may have too. */
bool rundir_in_use(const char *path)
{
	char *name = path_join(path, "lock");
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;

	file_close(&fd);
	free(name);
	return locked;
}

char *rundir_file(const struct rundir *rundir, const char *name)
{
	return path_join(rundir->path, name);
}

int rundir_write(const struct rundir *rundir, const char *name, const void *bytes, size_t length,
		 struct error *err)
{
	char *path = rundir_file(rundir, name);
	int status = file_write(path, bytes, length, err);

	free(path);
	return status;
}

void rundir_release(struct rundir *rundir)
{
	if (rundir->lock > 0)
		close(rundir->lock);
	free(rundir->path);
	*rundir = (struct rundir){ 0 };
}
