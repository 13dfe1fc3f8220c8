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
#include "lib/file.h"

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

/* Nobody can connect before it listens, and by then the file is closed to others. */
static int listen_at(int fd, int place, const char *name, const struct sockaddr_un *at)
{
	unlinkat(place, name, 0);
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 ||
	    fchmodat(place, name, 0600, 0) < 0)
		return -1;
	return listen(fd, BACKLOG);
}

static int open_socket(int *out, const char *dir, const char *name, bool listens, struct error *err)
{
	struct sockaddr_un at;
	int place = open_address(&at, dir, name, err);
	int fd, status;

	if (place < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		status = -1;
	else if (listens)
		status = listen_at(fd, place, name, &at);
	else
		status = connect(fd, (struct sockaddr *)&at, sizeof(at));
	if (status < 0) {
		error_set(err, "cannot %s '%s/%s': %s", listens ? "listen on" : "connect to", dir,
			  name, strerror(errno));
		file_close(&fd);
	} else {
		*out = fd;
	}
	close(place);
	return status;
}

int local_listen(int *out, const char *dir, const char *name, struct error *err)
{
	return open_socket(out, dir, name, true, err);
}

int local_connect(int *out, const char *dir, const char *name, struct error *err)
{
	return open_socket(out, dir, name, false, err);
}

bool local_peer_is_ours(int fd)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       peer.uid == geteuid();
}
