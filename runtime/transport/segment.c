/* The memory that the ranks of a host share: a memfd, so that no file system is ever full. */
#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */
#include "runtime/transport/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "runtime/transport/pipe.h"
#include "runtime/transport/transport.h"

enum { PAGE = 4096, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static size_t whole_pages(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

static size_t sleepers_at(int count)
{
	return (size_t)count * NET_PLACE_BYTES;
}

static size_t pipes_at(int count)
{
	return sleepers_at(count) + whole_pages((size_t)count * sizeof(struct pipe_sleeper));
}

static size_t size_for(int count)
{
	size_t pipes = (size_t)count * (size_t)count;

	return whole_pages(pipes_at(count) + pipes * sizeof(struct pipe_memory));
}

/* Where files may not become so large, a signal would end the process. */
static int check_limit(size_t size, struct error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size)
		return error_set(err, "cannot make %zu bytes of memory: the limit of file sizes",
				 size);
	return 0;
}

int segment_make(int *fd, int count, struct error *err)
{
	size_t size = size_for(count);
	int made;

	if (check_limit(size, err) < 0)
		return -1;
	made = memfd_create("dstrain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made >= 0 && ftruncate(made, (off_t)size) == 0 &&
	    fcntl(made, F_ADD_SEALS, SEALS) == 0) {
		*fd = made;
		return 0;
	}
	error_set(err, "cannot make memory to share: %s", strerror(errno));
	if (made >= 0)
		close(made);
	return -1;
}

int segment_map(struct segment *out, int fd, int count, struct error *err)
{
	size_t size = size_for(count);
	struct stat about;
	void *bytes;

	if (fstat(fd, &about) < 0 || (size_t)about.st_size != size ||
	    fcntl(fd, F_GET_SEALS) != SEALS)
		return error_set(err, "what came is not the memory to share");
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return error_set(err, "cannot map memory: %s", strerror(errno));
	madvise(bytes, size, MADV_DONTDUMP); /* gradients are nobody's business */
	*out = (struct segment){ .bytes = bytes, .size = size, .count = count };
	return 0;
}

void segment_release(struct segment *segment)
{
	if (segment->bytes)
		munmap(segment->bytes, segment->size);
	*segment = (struct segment){ 0 };
}

struct pipe_memory *segment_pipe(const struct segment *segment, int from, int to)
{
	unsigned char *pipes = segment->bytes + pipes_at(segment->count);

	return (struct pipe_memory *)(void *)pipes + from * segment->count + to;
}

struct pipe_sleeper *segment_sleeper(const struct segment *segment, int number)
{
	unsigned char *sleepers = segment->bytes + sleepers_at(segment->count);

	return (struct pipe_sleeper *)(void *)sleepers + number;
}
