/* Stream sockets between numeric addresses. */
#define _GNU_SOURCE /* accept4 */
#include "lib/sock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"

enum { BACKLOG = 512 };

struct endpoint {
	struct sockaddr_storage at;
	socklen_t length;
};

static int resolve(struct endpoint *out, const char *address, uint16_t port, struct error *err)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
					.ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	if (address[0] == '\0' || getaddrinfo(address, service, &hints, &found) != 0)
		return error_set(err, "'%s' is not a numeric address", address);
	memcpy(&out->at, found->ai_addr, found->ai_addrlen);
	out->length = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static void prepare(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static int new_socket(const struct endpoint *end, struct error *err)
{
	int fd = socket(end->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_set(err, "cannot make a socket: %s", strerror(errno));
	prepare(fd);
	return fd;
}

static uint16_t port_of(const struct sockaddr_storage *at)
{
	if (at->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)at)->sin6_port);
	return ntohs(((const struct sockaddr_in *)(const void *)at)->sin_port);
}

int sock_listen(int *out, const char *address, uint16_t *port, struct error *err)
{
	const int on = 1;
	struct endpoint end;
	int fd;

	if (resolve(&end, address, *port, err) < 0)
		return -1;
	fd = new_socket(&end, err);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&end.at, end.length) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&end.at, &end.length) < 0) {
		error_set(err, "cannot listen on '%s', port %u: %s", address, *port,
			  strerror(errno));
		close(fd);
		return -1;
	}
	*port = port_of(&end.at);
	*out = fd;
	return 0;
}

int sock_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		prepare(fd);
	return fd;
}

int sock_dial(int *out, const char *address, uint16_t port, struct error *err)
{
	struct endpoint end;
	int fd;

	if (resolve(&end, address, port, err) < 0)
		return -1;
	fd = new_socket(&end, err);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&end.at, end.length) < 0 && errno != EINPROGRESS) {
		error_set(err, "cannot connect: %s", strerror(errno));
		close(fd);
		return -1;
	}
	*out = fd;
	return 0;
}

int sock_connected(int fd, struct error *err)
{
	int problem = 0;
	socklen_t length = sizeof(problem);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &length) < 0)
		problem = errno;
	if (problem)
		return error_set(err, "cannot connect: %s", strerror(problem));
	return 0;
}

int sock_connect(int *out, const char *address, uint16_t port, double deadline, struct error *err)
{
	struct pollfd wait = { .events = POLLOUT };
	int ready;

	if (sock_dial(&wait.fd, address, port, err) < 0)
		return -1;
	do {
		ready = poll(&wait, 1, clock_poll_ms(deadline));
	} while (ready < 0 && errno == EINTR);
	if (ready == 0)
		error_set(err, "cannot connect: no answer");
	if (ready == 0 || sock_connected(wait.fd, err) < 0) {
		close(wait.fd);
		return -1;
	}
	*out = wait.fd;
	return 0;
}

static bool try_again(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

long sock_read(int fd, void *bytes, size_t length, struct error *err)
{
	ssize_t got = recv(fd, bytes, length, 0);

	if (got > 0)
		return got;
	if (got == 0)
		return error_set(err, "connection closed");
	return try_again() ? 0 : error_set(err, "%s", strerror(errno));
}

long sock_write(int fd, const struct iovec *parts, int count, struct error *err)
{
	const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts,
					.msg_iovlen = (size_t)count };
	ssize_t put = sendmsg(fd, &message, MSG_NOSIGNAL);

	if (put >= 0)
		return put;
	return try_again() ? 0 : error_set(err, "%s", strerror(errno));
}

size_t sock_unsent(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

void sock_end(int fd)
{
	shutdown(fd, SHUT_WR);
}

char *sock_peer_name(char out[SOCK_NAME], int fd)
{
	struct sockaddr_storage at = { 0 };
	socklen_t length = sizeof(at);
	char host[SOCK_NAME - 10];

	if (getpeername(fd, (struct sockaddr *)&at, &length) < 0 ||
	    getnameinfo((struct sockaddr *)&at, length, host, sizeof(host), NULL, 0,
			NI_NUMERICHOST) != 0)
		snprintf(out, SOCK_NAME, "?");
	else
		snprintf(out, SOCK_NAME, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
			 port_of(&at));
	return out;
}
