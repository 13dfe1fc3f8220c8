/* A Unix socket in a directory that only the user can enter. */
#define _GNU_SOURCE /* accept4 */
#include "runtime/transport/door.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/local.h"

enum { BACKLOG = 256, TRIES = 8 };

_Static_assert(sizeof(((struct sockaddr_un *)NULL)->sun_path) == DOOR_PATH, "what Linux has");

static int check_directory(const char *path, struct error *err)
{
	struct stat about;

	if (lstat(path, &about) < 0)
		return error_set(err, "cannot look at '%s': %s", path, strerror(errno));
	if (!S_ISDIR(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 077))
		return error_set(err, "'%s' is not a directory that only this user can enter",
				 path);
	return 0;
}

/* The socket's path in a directory that is made if it is not there; -1: it cannot be used. */
static int choose_path(char path[DOOR_PATH], const char *dir, const char *name, struct error *err)
{
	if (snprintf(path, DOOR_PATH, "%s/%s", dir, name) >= DOOR_PATH)
		return error_set(err, "the path of '%s' is too long for a socket", dir);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return error_set(err, "cannot make '%s': %s", dir, strerror(errno));
	return check_directory(dir, err);
}

static int choose_place(char path[DOOR_PATH], const char *name, struct error *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char dir[DOOR_PATH];

	if (runtime && runtime[0] == '/' &&
	    snprintf(dir, sizeof(dir), "%s/dstrain", runtime) < (int)sizeof(dir) &&
	    choose_path(path, dir, name, err) == 0)
		return 0;
	snprintf(dir, sizeof(dir), "/tmp/dstrain-%ju", (uintmax_t)geteuid());
	return choose_path(path, dir, name, err);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, path, strnlen(path, sizeof(address.sun_path) - 1));
	return address;
}

static int new_socket(struct error *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? error_set(err, "cannot make a socket: %s", strerror(errno)) : fd;
}

/* 1: the directory is gone again, removed by another run that found it empty. */
static int bind_to(struct door *door, const char *name, struct error *err)
{
	struct sockaddr_un address;
	bool vanished;

	if (choose_place(door->path, name, err) < 0)
		return -1;
	unlink(door->path); /* of a run that has died */
	address = address_of(door->path);
	if (bind(door->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	vanished = errno == ENOENT;
	error_set(err, "cannot make the socket '%s': %s", door->path, strerror(errno));
	door->path[0] = '\0';
	return vanished ? 1 : -1;
}

int door_open(struct door *door, uint64_t job, uint32_t view, int rank, struct error *err)
{
	char name[64];
	int status = 1;

	snprintf(name, sizeof(name), "%016" PRIx64 "-%" PRIu32 "-%d", job, view, rank);
	*door = (struct door){ .fd = new_socket(err) };
	if (door->fd < 0)
		return -1;
	for (int i = 0; i < TRIES && status > 0; i++)
		status = bind_to(door, name, err);
	if (status == 0 && listen(door->fd, BACKLOG) < 0)
		status = error_set(err, "cannot listen at '%s': %s", door->path, strerror(errno));
	if (status)
		door_close(door);
	return status ? -1 : 0;
}

int door_admit(struct door *door)
{
	int fd;

	while ((fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		if (local_peer_is_ours(fd))
			return fd;
		close(fd);
	}
	return -1;
}

void door_close(struct door *door)
{
	char *slash = strrchr(door->path, '/');

	file_close(&door->fd);
	if (!slash)
		return;
	unlink(door->path);
	*slash = '\0';
	rmdir(door->path); /* unless another run is using it */
	door->path[0] = '\0';
}

int door_knock(const char *path, struct error *err)
{
	struct sockaddr_un address = address_of(path);
	char dir[DOOR_PATH];
	int fd;

	snprintf(dir, sizeof(dir), "%s", address.sun_path);
	if (strrchr(dir, '/'))
		*strrchr(dir, '/') = '\0';
	if (check_directory(dir, err) < 0)
		return -1;
	fd = new_socket(err);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		error_set(err, "cannot connect to '%s': %s", path, strerror(errno));
	else if (!local_peer_is_ours(fd))
		error_set(err, "another user listens at '%s'", path);
	else
		return fd;
	close(fd);
	return -1;
}

/* Room for the descriptors of a message, aligned as it must be. */
union passage {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(DOOR_FDS * sizeof(int))];
};

int door_pass(int fd, const void *bytes, size_t length, const int *fds, int count,
	      struct error *err)
{
	union passage passage = { 0 };
	struct iovec part = { (void *)(uintptr_t)bytes, length };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = passage.bytes,
				  .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int)) };

	assert(count > 0 && count <= DOOR_FDS);
	passage.header.cmsg_level = SOL_SOCKET;
	passage.header.cmsg_type = SCM_RIGHTS;
	passage.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	memcpy(CMSG_DATA(&passage.header), fds, (size_t)count * sizeof(int));
	if (sendmsg(fd, &message, MSG_NOSIGNAL) != (ssize_t)length)
		return error_set(err, "cannot pass descriptors: %s", strerror(errno));
	return 0;
}

static int take_fds(struct msghdr *message, int *fds, int count)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int got = 0;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		got = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (int i = 0; i < got; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + (size_t)i * sizeof(int), sizeof(int));
		if (got == count)
			fds[i] = fd;
		else
			close(fd);
	}
	return got == count ? 0 : -1;
}

int door_take(int fd, void *bytes, size_t length, int *fds, int count, double timeout_s,
	      struct error *err)
{
	union passage passage = { 0 };
	struct iovec part = { bytes, length };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = passage.bytes,
				  .msg_controllen = sizeof(passage.bytes) };
	struct pollfd there = { .fd = fd, .events = POLLIN };

	if (poll(&there, 1, clock_poll_ms(clock_now() + timeout_s)) <= 0)
		return error_set(err, "nothing came through the door");
	if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != (ssize_t)length) {
		take_fds(&message, NULL, -1);
		return error_set(err, "the wrong thing came through the door");
	}
	if (take_fds(&message, fds, count) < 0)
		return error_set(err, "not all descriptors came through the door");
	return 0;
}
