/* Whole files and directories. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"

enum { READ_BYTES = 1 << 16, SMALL_BYTES = 1 << 20 };

int file_read(struct buf *out, const char *path, size_t limit, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t total = 0;
	ssize_t got;

	if (fd < 0)
		return error_set(err, "cannot open '%s': %s", path, strerror(errno));
	while ((got = read(fd, buf_reserve(out, READ_BYTES), READ_BYTES)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			error_set(err, "cannot read '%s': %s", path, strerror(errno));
			close(fd);
			return -1;
		}
		out->length += (size_t)got;
		total += (size_t)got;
		if (total > limit) {
			close(fd);
			return error_set(err, "'%s' is larger than %zu bytes", path, limit);
		}
	}
	buf_add(out, "", 0);
	close(fd);
	return 0;
}

int file_write_all(int fd, const void *bytes, size_t length)
{
	const char *next = bytes;

	while (length > 0) {
		ssize_t wrote = write(fd, next, length);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return -1;
		next += wrote;
		length -= (size_t)wrote;
	}
	return 0;
}

uint64_t file_number(const char *path, const char *key)
{
	unsigned long long value = UINT64_MAX;
	struct buf text = { 0 };
	struct error ignored;
	const char *at;

	if (file_exists(path) && file_read(&text, path, SMALL_BYTES, &ignored) == 0) {
		at = strstr(buf_text(&text), key);
		if (at)
			sscanf(at + strlen(key), "%llu", &value);
	}
	buf_release(&text);
	return value;
}

void file_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int dir_sync(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status = 0;

	if (fd < 0 || fsync(fd) < 0)
		status = error_set(err, "cannot sync '%s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return status;
}

static int sync_parent(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char *dir =
		slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
	int status = dir_sync(dir, err);

	free(dir);
	return status;
}

int file_write(const char *path, const void *bytes, size_t length, struct error *err)
{
	char *temporary = xasprintf("%s.tmp", path);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int status = 0;

	if (fd < 0 || file_write_all(fd, bytes, length) < 0 || fsync(fd) < 0)
		status = error_set(err, "cannot write '%s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (status == 0 && rename(temporary, path) < 0)
		status = error_set(err, "cannot rename to '%s': %s", path, strerror(errno));
	if (status < 0)
		unlink(temporary);
	else
		status = sync_parent(path, err);
	free(temporary);
	return status;
}

int file_size(uint64_t *out, const char *path, struct error *err)
{
	struct stat about;

	if (stat(path, &about) < 0)
		return error_set(err, "cannot open '%s': %s", path, strerror(errno));
	if (!S_ISREG(about.st_mode))
		return error_set(err, "'%s' is not a regular file", path);
	*out = (uint64_t)about.st_size;
	return 0;
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int dir_make(const char *path, struct error *err)
{
	char *copy = xstrdup(path);
	struct stat about;
	int status = 0;

	for (char *slash = copy + 1;; slash++) {
		char kept = *slash;

		if (kept && kept != '/')
			continue;
		*slash = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
			status = error_set(err, "cannot create directory '%s': %s", copy,
					   strerror(errno));
			break;
		}
		*slash = kept;
		if (!kept)
			break;
	}
	if (status == 0 && (stat(path, &about) < 0 || !S_ISDIR(about.st_mode)))
		status = error_set(err, "'%s' is not a directory", path);
	free(copy);
	return status;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *at)
{
	(void)about;
	(void)type;
	(void)at;
	return remove(path);
}

int dir_remove(const char *path, struct error *err)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
		return error_set(err, "cannot remove '%s': %s", path, strerror(errno));
	return 0;
}

char *path_join(const char *dir, const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

char *path_absolute(const char *path)
{
	char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
	char *absolute = here ? path_join(here, path) : xstrdup(path);

	free(here);
	return absolute;
}
