/* Sockets between processes of one user on one machine. */
#define _GNU_SOURCE /* struct ucred, O_PATH */
#include "lib/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/error.h"

enum { BACKLOG = 64 };

/* An address holds 108 bytes, and a path may be longer: it goes by way of an open directory. */
static int open_address(struct sockaddr_un *at, const char *dir, const char *name,
			struct error *err)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(err, "cannot open '%s': %s", dir, strerror(errno));
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(at->sun_path, sizeof(at->sun_path), "/proc/self/fd/%d/%s", fd, name);
	return fd;
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int local_listen(int *out, const char *dir, const char *name, struct error *err)
{
	struct sockaddr_un at;
	int place = open_address(&at, dir, name, err);
	int fd, status = 0;

	if (place < 0)
		return -1;
	fd = new_socket();
	unlinkat(place, name, 0);
	/* Nobody can connect before it listens, and by then the file is closed to others. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    fchmodat(place, name, 0600, 0) < 0 || listen(fd, BACKLOG) < 0) {
		status = error_set(err, "cannot listen on '%s/%s': %s", dir, name, strerror(errno));
		if (fd >= 0)
			close(fd);
	} else {
		*out = fd;
	}
	close(place);
	return status;
}

int local_connect(int *out, const char *dir, const char *name, struct error *err)
{
	struct sockaddr_un at;
	int place = open_address(&at, dir, name, err);
	int fd, status = 0;

	if (place < 0)
		return -1;
	fd = new_socket();
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		status =
			error_set(err, "cannot connect to '%s/%s': %s", dir, name, strerror(errno));
		if (fd >= 0)
			close(fd);
	} else {
		*out = fd;
	}
	close(place);
	return status;
}

bool local_peer_is_ours(int fd)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       peer.uid == geteuid();
}
