/* The content of a file as memory. All processes of a machine share it where it can be mapped. */
#define _DEFAULT_SOURCE /* madvise */
#include "runtime/data/mapped.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/file.h"
#include "lib/gzip.h"
#include "lib/memory.h"
#include "lib/unpacked.h"

enum { FIRST_READ = 1 << 20 };

static bool is_gzip(int fd)
{
	unsigned char magic[2];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && magic[0] == 0x1f &&
	       magic[1] == 0x8b;
}

static bool map(struct mapped *out, const char *path, size_t length)
{
	int fd = length ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *bytes = MAP_FAILED;

	if (fd >= 0 && !is_gzip(fd))
		bytes = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	file_close(&fd);
	if (bytes == MAP_FAILED)
		return false;
	*out = (struct mapped){ .bytes = bytes, .length = length, .shared = true };
	return true;
}

static bool map_unpacked(struct mapped *out, const char *path)
{
	struct unpacked unpacked;

	if (!unpacked_map(&unpacked, path))
		return false;
	*out = (struct mapped){ .bytes = unpacked.bytes,
				.length = unpacked.length,
				.shared = true };
	return true;
}

static int read_all(struct mapped *out, const char *path, struct error *err)
{
	size_t room = FIRST_READ, length = 0, got;
	struct gzip *file;
	char *bytes;
	int status;

	if (gzip_open(&file, path, err) < 0)
		return -1;
	bytes = xmalloc(room);
	while ((status = gzip_read(file, bytes + length, room - length, &got, err)) == 0) {
		length += got;
		if (length < room)
			break;
		room *= 2;
		bytes = xrealloc(bytes, room, 1);
	}
	gzip_close(file);
	*out = mapped_own(xrealloc(bytes, length ? length : 1, 1), length);
	if (status < 0)
		mapped_release(out);
	return status;
}

int mapped_open(struct mapped *out, const char *path, struct error *err)
{
	uint64_t length;

	*out = (struct mapped){ 0 };
	if (file_size(&length, path, err) < 0)
		return -1;
	return map(out, path, (size_t)length) || map_unpacked(out, path) ? 0
									 : read_all(out, path, err);
}

struct mapped mapped_own(void *bytes, size_t length)
{
	return (struct mapped){ .bytes = bytes, .length = length };
}

void mapped_forget(const struct mapped *file)
{
	if (file->shared)
		madvise((void *)(uintptr_t)file->bytes, file->length, MADV_DONTNEED);
}

void mapped_release(struct mapped *file)
{
	void *bytes = (void *)(uintptr_t)file->bytes;

	if (file->shared)
		munmap(bytes, file->length);
	else
		free(bytes);
	*file = (struct mapped){ 0 };
}
