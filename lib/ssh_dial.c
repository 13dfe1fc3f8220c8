/* Names to TCP connections, within a deadline. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/ssh_session.h"

/* getaddrinfo has no deadline, so it runs on a thread of its own that may outlive the wait. */
struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char *name;
	char port[8];
	int owners; /* under lock: the thread, and who waits */
	bool done;  /* under lock */
	int status;
	struct addrinfo *found;
};

static void lookup_drop(struct lookup *lookup)
{
	bool last;

	pthread_mutex_lock(&lookup->lock);
	last = --lookup->owners == 0;
	pthread_mutex_unlock(&lookup->lock);
	if (!last)
		return;
	if (lookup->found)
		freeaddrinfo(lookup->found);
	pthread_cond_destroy(&lookup->changed);
	pthread_mutex_destroy(&lookup->lock);
	free(lookup->name);
	free(lookup);
}

static void *look_up(void *arg)
{
	struct addrinfo wanted = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	struct lookup *lookup = arg;
	int status = getaddrinfo(lookup->name, lookup->port, &wanted, &found);

	pthread_mutex_lock(&lookup->lock);
	lookup->status = status;
	lookup->found = status == 0 ? found : NULL;
	lookup->done = true;
	pthread_cond_signal(&lookup->changed);
	pthread_mutex_unlock(&lookup->lock);
	lookup_drop(lookup);
	return NULL;
}

static struct lookup *lookup_start(const struct host *host)
{
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));
	pthread_t thread;

	pthread_mutex_init(&lookup->lock, NULL);
	clock_cond_init(&lookup->changed);
	lookup->name = xstrdup(host->address);
	snprintf(lookup->port, sizeof(lookup->port), "%u", (unsigned)host->port);
	lookup->owners = 2;
	if (pthread_create(&thread, NULL, look_up, lookup) == 0)
		pthread_detach(thread);
	else
		look_up(lookup);
	return lookup;
}

static int lookup_wait(struct lookup *lookup, struct ssh_wait until, struct error *err)
{
	int status = 0;

	pthread_mutex_lock(&lookup->lock);
	while (!lookup->done && clock_now() < until.deadline && !ssh_is_stopped(until)) {
		double glance = clock_now() + SSH_GLANCE_S;
		struct timespec at =
			clock_timespec(glance < until.deadline ? glance : until.deadline);

		pthread_cond_timedwait(&lookup->changed, &lookup->lock, &at);
	}
	if (ssh_is_stopped(until))
		status = error_set(err, "interrupted");
	else if (!lookup->done)
		status = error_set(err, "no answer from the name service for '%s'", lookup->name);
	else if (lookup->status != 0)
		status = error_set(err, "cannot resolve '%s': %s", lookup->name,
				   gai_strerror(lookup->status));
	else
		status = 0;
	pthread_mutex_unlock(&lookup->lock);
	return status;
}

/* The peer's death must show without any traffic of ours. */
static void watch_peer(int fd)
{
	int on = 1, idle_s = 5, interval_s = 3, probes = 3, unanswered_ms = 15000;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
#ifdef TCP_USER_TIMEOUT
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof(unanswered_ms));
#endif
}

/* 0, or why not. */
static int finish_connect(int fd, struct ssh_wait until)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	socklen_t length = sizeof(int);
	int reason = 0;

	if (!ssh_await(&ready, until))
		return ssh_is_stopped(until) ? ECANCELED : ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &length);
	return reason;
}

/* The descriptor, or -1 with errno. */
static int connect_one(const struct addrinfo *to, struct ssh_wait until)
{
	int fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
			to->ai_protocol);
	int reason = 0;

	if (fd < 0)
		return -1;
	if (connect(fd, to->ai_addr, to->ai_addrlen) < 0)
		reason = errno == EINPROGRESS ? finish_connect(fd, until) : errno;
	if (reason == 0) {
		watch_peer(fd);
		return fd;
	}
	close(fd);
	errno = reason;
	return -1;
}

static int explain(const struct host *host, int reason, struct error *err)
{
	const char *advice = "";

	if (reason == ECANCELED)
		return error_set(err, "interrupted");
	if (reason == ETIMEDOUT)
		return error_set(err,
				 "no answer from %s port %u within %g s; is the host up, and does "
				 "no firewall drop the packets?",
				 host->address, (unsigned)host->port, host->connect_timeout_s);
	if (reason == ECONNREFUSED)
		advice = "; does an SSH server run there, on this port?";
	return error_set(err, "cannot connect to %s port %u: %s%s", host->address,
			 (unsigned)host->port, strerror(reason), advice);
}

int ssh_dial(const struct host *host, struct ssh_wait until, struct error *err)
{
	struct lookup *lookup = lookup_start(host);
	int fd = -1, reason = ETIMEDOUT;
	size_t left = 0;

	if (lookup_wait(lookup, until, err) < 0)
		goto out;
	for (const struct addrinfo *to = lookup->found; to; to = to->ai_next)
		left++;
	for (const struct addrinfo *to = lookup->found; to && fd < 0; to = to->ai_next, left--) {
		double now = clock_now();
		struct ssh_wait part = { now + (until.deadline - now) / (double)left, until.stop };

		fd = connect_one(to, part);
		reason = errno;
	}
	if (fd < 0)
		explain(host, reason, err);
out:
	lookup_drop(lookup);
	return fd;
}
