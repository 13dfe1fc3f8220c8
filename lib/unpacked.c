/*
 * Large gzipped files, unpacked once into the cache. A copy is named after the start of the system
 * and its source's device and inode, has its source's time and the length that its source states,
 * and is made under another name: one that is stale, half written or tampered with has none of
 * that.
 */
#define _GNU_SOURCE /* flock, O_NOFOLLOW */
#include "lib/unpacked.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/gzip.h"
#include "lib/memory.h"
#include "lib/wire.h"

enum { SMALLEST = 4 << 20, LARGEST = 1 << 30, COPIES = 8, PIECE_BYTES = 1 << 18, BOOT_BYTES = 36 };

#define WAIT_S 20.0  /* for whoever unpacks */
#define LOOK_S 0.002 /* between looks whether it has */

struct copy {
	const char *source;
	struct stat about; /* of the source */
	size_t length;
	int dir;
	char *name;
};

static const char prefix[] = "unpacked-";

/* RFC 1952: two bytes of magic in front, the length modulo 2^32 at the end. */
static size_t stated_length(const char *path, struct stat *about)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	unsigned char magic[2], last[4];
	size_t length = 0;

	if (fd >= 0 && fstat(fd, about) == 0 && S_ISREG(about->st_mode) &&
	    pread(fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b &&
	    pread(fd, last, 4, about->st_size - 4) == 4) {
		struct wire wire = wire_reader(last, sizeof(last));

		length = wire_get_u32(&wire);
	}
	file_close(&fd);
	return length;
}

/* "unpacked-BOOT-", or NULL; caller frees. */
static char *name_of_boot(void)
{
	struct buf boot = { 0 };
	struct error ignored;
	char *name = NULL;

	if (file_read(&boot, "/proc/sys/kernel/random/boot_id", 64, &ignored) == 0 &&
	    boot.length >= BOOT_BYTES)
		name = xasprintf("%s%.*s-", prefix, (int)BOOT_BYTES, boot.data);
	buf_release(&boot);
	return name;
}

/* As provisioning and `dstrain clean` find it. */
static int open_cache(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	struct error ignored;
	char *path = NULL;
	int fd = -1;

	if (cache && cache[0] == '/')
		path = xasprintf("%s/dstrain/data", cache);
	else if (home && home[0] == '/')
		path = xasprintf("%s/.cache/dstrain/data", home);
	if (path && dir_make(path, &ignored) == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	return fd;
}

static bool map_copy(const struct copy *copy, struct unpacked *out)
{
	int fd = openat(copy->dir, copy->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	const struct timespec *time = &copy->about.st_mtim;
	void *bytes = MAP_FAILED;
	struct stat is;

	if (fd >= 0 && fstat(fd, &is) == 0 && S_ISREG(is.st_mode) && is.st_uid == geteuid() &&
	    (size_t)is.st_size == copy->length && is.st_mtim.tv_sec == time->tv_sec &&
	    is.st_mtim.tv_nsec == time->tv_nsec)
		bytes = mmap(NULL, copy->length, PROT_READ, MAP_SHARED, fd, 0);
	file_close(&fd);
	if (bytes == MAP_FAILED)
		return false;
	*out = (struct unpacked){ .bytes = bytes, .length = copy->length };
	return true;
}

/* Those of before, and all if they are many. */
static void remove_old(const struct copy *copy, const char *boot)
{
	int again = openat(copy->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = again < 0 ? NULL : fdopendir(again);
	const struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir)))
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	if (dir)
		rewinddir(dir);
	while (dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
		    (count >= COPIES || strncmp(entry->d_name, boot, strlen(boot)) != 0))
			unlinkat(copy->dir, entry->d_name, 0);
	if (dir)
		closedir(dir);
}

/* As much again must be left: the disk has better uses than a copy. */
static bool has_room(const struct copy *copy)
{
	struct statvfs disk;
	struct rlimit limit;

	return fstatvfs(copy->dir, &disk) == 0 &&
	       disk.f_bavail > 2 * copy->length / disk.f_frsize &&
	       getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur > copy->length;
}

static bool unpack(const struct copy *copy, int fd)
{
	char *piece = xmalloc(PIECE_BYTES);
	struct gzip *file = NULL;
	struct error ignored;
	size_t total = 0, got = 0;
	bool good = gzip_open(&file, copy->source, &ignored) == 0;

	while (good) {
		good = gzip_read(file, piece, PIECE_BYTES, &got, &ignored) == 0;
		total += got;
		if (!good || got == 0 || total > copy->length)
			break;
		good = file_write_all(fd, piece, got) == 0;
	}
	gzip_close(file);
	free(piece);
	return good && total == copy->length;
}

static void make_copy(const struct copy *copy)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, copy->about.st_mtim };
	char *half = xasprintf("%s.half", copy->name);
	int fd;

	unlinkat(copy->dir, half, 0);
	fd = openat(copy->dir, half, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 && (!unpack(copy, fd) || futimens(fd, times) < 0 ||
			renameat(copy->dir, half, copy->dir, copy->name) < 0))
		unlinkat(copy->dir, half, 0);
	file_close(&fd);
	free(half);
}

/* True: this process is the one to make it. False: it is there, or whoever makes it is stuck. */
static bool wait_turn(const struct copy *copy, struct unpacked *out)
{
	double deadline = clock_now() + WAIT_S;

	while (flock(copy->dir, LOCK_EX | LOCK_NB) < 0) {
		if (clock_now() > deadline)
			return false;
		clock_sleep(LOOK_S);
	}
	return !map_copy(copy, out); /* another may have been faster */
}

bool unpacked_map(struct unpacked *out, const char *path)
{
	struct copy copy = { .source = path, .dir = -1 };
	char *boot = NULL;

	*out = (struct unpacked){ 0 };
	copy.length = stated_length(path, &copy.about);
	if (copy.length < SMALLEST || copy.length > LARGEST)
		return false;
	boot = name_of_boot();
	copy.dir = boot ? open_cache() : -1;
	if (copy.dir >= 0) {
		copy.name = xasprintf("%s%" PRIxMAX "-%" PRIxMAX, boot,
				      (uintmax_t)copy.about.st_dev, (uintmax_t)copy.about.st_ino);
		if (!map_copy(&copy, out) && wait_turn(&copy, out) && has_room(&copy)) {
			remove_old(&copy, boot);
			make_copy(&copy);
			map_copy(&copy, out);
		}
	}
	file_close(&copy.dir); /* and the lock is gone */
	free(copy.name);
	free(boot);
	return out->bytes != NULL;
}
