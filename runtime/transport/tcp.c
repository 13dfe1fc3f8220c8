/*
 * One connection per pair of ranks. A progress thread per rank moves all bytes; everybody else
 * posts to the mailbox and wakes it.
 */
#include "runtime/transport/transport.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "lib/sock.h"
#include "runtime/transport/conn.h"
#include "runtime/transport/hello.h"
#include "runtime/transport/mailbox.h"
#include "runtime/transport/rendezvous.h"
#include "runtime/transport/tls.h"

static const double flush_s = 1;      /* at close, for what is posted */
static const double glance_s = 0.002; /* between looks at what is still under way at close */

struct tcp_params {
	bool encrypt;
};

static const struct opt options[] = {
	{ "encrypt", OPT_BOOL, offsetof(struct tcp_params, encrypt), "yes",
	  "encrypt what ranks tell each other; they authenticate each other in any case" },
	{ 0 }
};

struct peer {
	struct conn *conn; /* the progress thread's; NULL before it is met and after it is lost */
	atomic_bool asked; /* a send was posted, or given up */
	atomic_uint_fast64_t header_sent;
};

enum stage { OPENING, OPEN, FAILED };

struct tcp {
	const struct net_env *env;
	struct mailbox *box;
	struct tls_setup *setup;
	struct rendezvous *rendezvous; /* the progress thread's */
	struct hello mine;
	struct peer *peers; /* [world] */
	struct pollfd *polls;
	pthread_t progress;
	bool running;
	int wake; /* an eventfd */
	atomic_bool woken, closing, aborted;

	pthread_mutex_t lock; /* stage, error */
	pthread_cond_t change;
	enum stage stage;
	struct error error;
};

static void wake(struct tcp *self)
{
	const uint64_t one = 1;

	if (!atomic_exchange(&self->woken, true) && write(self->wake, &one, sizeof(one)) < 0)
		log_debug("cannot wake the progress thread: %s", strerror(errno));
}

static void enter(struct tcp *self, enum stage stage, const struct error *why)
{
	pthread_mutex_lock(&self->lock);
	if (self->stage == OPENING) {
		self->stage = stage;
		if (why)
			self->error = *why;
	}
	pthread_cond_broadcast(&self->change);
	pthread_mutex_unlock(&self->lock);
}

static void lose(struct tcp *self, int rank, const struct error *why)
{
	struct peer *peer = &self->peers[rank];

	log_debug("rank %d lost rank %d: %s", self->env->rank, rank, why->text);
	mailbox_lose(self->box, rank, why->text);
	conn_free(peer->conn);
	peer->conn = NULL;
}

static void met(void *arg, int rank, const struct stream *stream)
{
	struct tcp *self = arg;
	struct peer *peer = &self->peers[rank];

	peer->conn = conn_new(self->box, rank, self->env->view, stream);
	peer->header_sent = conn_header_sent(peer->conn);
}

/* Fills polls[1 + rank] for every peer; returns whether some input needs no polling. */
static bool poll_peers(struct tcp *self)
{
	bool ready = false;

	for (int rank = 0; rank < self->env->world; rank++) {
		const struct conn *conn = self->peers[rank].conn;
		struct pollfd *poll = &self->polls[1 + rank];

		*poll = (struct pollfd){ .fd = -1 };
		if (!conn)
			continue;
		poll->fd = conn_fd(conn);
		poll->events = (short)(POLLIN | (conn_wants_write(conn) ? POLLOUT : 0));
		ready = ready || conn_has_input(conn);
	}
	return ready;
}

static void move_bytes(struct tcp *self, int rank, short events)
{
	struct peer *peer = &self->peers[rank];
	bool asked = atomic_exchange(&peer->asked, false);
	const char *problem;
	struct error why;
	int status = 0;

	if (!peer->conn)
		return;
	problem = asked ? mailbox_problem(self->box, rank) : NULL;
	if (problem)
		status = error_set(&why, "%s", problem);
	else if ((events & POLLOUT) || (asked && !conn_wants_write(peer->conn))) {
		status = conn_write(peer->conn, &why);
		peer->header_sent = conn_header_sent(peer->conn);
	}
	if (status == 0 && ((events & ~POLLOUT) || conn_has_input(peer->conn)))
		status = conn_read(peer->conn, &why);
	if (status < 0)
		lose(self, rank, &why);
}

/* Whether all peers have everything that was sent; says so to each as soon as it is written. */
static bool all_delivered(struct tcp *self)
{
	bool all = true;

	for (int rank = 0; rank < self->env->world; rank++) {
		struct conn *conn = self->peers[rank].conn;

		if (!conn)
			continue;
		if (mailbox_has_sends(self->box, rank) || conn_wants_write(conn)) {
			all = false;
			continue;
		}
		conn_end(conn);
		all = all && conn_delivered(conn);
	}
	return all;
}

static void meet(struct tcp *self)
{
	struct error why;

	if (self->stage != OPENING)
		return;
	if (rendezvous_step(self->rendezvous, self->polls + 1 + self->env->world, met, self, &why) <
	    0)
		enter(self, FAILED, &why);
	else if (rendezvous_missing(self->rendezvous) == 0)
		enter(self, OPEN, NULL);
}

/* Waits for something to happen, until `until` at most, and lets it happen. */
static void turn(struct tcp *self, double until)
{
	nfds_t count = 1 + (nfds_t)self->env->world;
	uint64_t wakes;

	self->polls[0] = (struct pollfd){ .fd = self->wake, .events = POLLIN };
	if (poll_peers(self))
		until = 0;
	if (self->stage == OPENING)
		count += rendezvous_poll(self->rendezvous, self->polls + count, &until);
	if (poll(self->polls, count, clock_poll_ms(until)) < 0)
		return;
	if (self->polls[0].revents && read(self->wake, &wakes, sizeof(wakes)) > 0)
		atomic_store(&self->woken, false);
	for (int rank = 0; rank < self->env->world; rank++)
		move_bytes(self, rank, self->polls[1 + rank].revents);
	meet(self);
	mailbox_deliver(self->box, false);
}

static void *progress(void *arg)
{
	struct tcp *self = arg;
	double end;
	sigset_t all;

	sigfillset(&all); /* SIGPIPE must not kill, the others are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	meet(self); /* there may be nobody to wait for */
	while (!self->closing)
		turn(self, clock_now() + 60);
	end = self->aborted || self->stage != OPEN ? 0 : clock_now() + flush_s;
	while (!all_delivered(self) && clock_now() < end)
		turn(self, clock_now() + glance_s);
	return NULL;
}

static int start_progress(struct tcp *self, struct error *err)
{
	int status;

	self->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->wake < 0)
		return error_set(err, "cannot make an eventfd: %s", strerror(errno));
	status = pthread_create(&self->progress, NULL, progress, self);
	if (status)
		return error_set(err, "cannot start a thread: %s", strerror(status));
	self->running = true;
	return 0;
}

static int tcp_listen(const void *params, const char *address, uint16_t *port, int *listener,
		      struct error *err)
{
	(void)params;
	return sock_listen(listener, address, port, err);
}

static int tcp_open(void *state, const void *params, const struct net_env *env,
		    net_handler *deliver, void *arg, struct error *err)
{
	const struct tcp_params *tcp_params = params;
	struct tcp *self = state;
	size_t world = (size_t)env->world;

	self->env = env;
	self->wake = -1;
	self->mine = (struct hello){ HELLO_VERSION, env->job,	env->view,
				     env->rank,	    env->world, tcp_params->encrypt };
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->change, NULL);
	self->box = mailbox_new(env, deliver, arg);
	self->peers = xcalloc(world, sizeof(*self->peers));
	self->setup = tls_setup_new(env->key, err);
	self->rendezvous = rendezvous_new(env, self->setup, &self->mine);
	self->polls =
		xcalloc(1 + world + rendezvous_poll_max(self->rendezvous), sizeof(struct pollfd));
	if (!self->setup || start_progress(self, err) < 0)
		return -1;
	pthread_mutex_lock(&self->lock);
	while (self->stage == OPENING)
		pthread_cond_wait(&self->change, &self->lock);
	pthread_mutex_unlock(&self->lock);
	return self->stage == OPEN ? 0 : error_set(err, "%s", self->error.text);
}

static void tcp_post_send(void *state, struct net_request *request)
{
	struct tcp *self = state;
	int rank = request->peer; /* once posted, the request may be gone */

	mailbox_post_send(self->box, request);
	atomic_store(&self->peers[rank].asked, true);
	wake(self);
}

static void tcp_post_recv(void *state, struct net_request *request)
{
	struct tcp *self = state;

	mailbox_post_recv(self->box, request);
}

static int tcp_wait(void *state, struct net_request *request, double deadline, struct error *err)
{
	struct tcp *self = state;
	int rank = request->peer;

	if (mailbox_wait(self->box, request, deadline, err) == 0)
		return 0;
	if (!request->receive) { /* what was begun and given up must be noticed */
		atomic_store(&self->peers[rank].asked, true);
		wake(self);
	}
	return -1;
}

static void tcp_abort(void *state, const char *why)
{
	struct tcp *self = state;

	self->aborted = true;
	mailbox_abort(self->box, why);
}

static void tcp_close(void *state)
{
	struct tcp *self = state;

	if (self->running) {
		self->closing = true;
		wake(self);
		pthread_join(self->progress, NULL);
	}
	rendezvous_free(self->rendezvous);
	mailbox_free(self->box); /* before the arrivals, which are the connections' */
	for (int rank = 0; rank < self->env->world; rank++)
		conn_free(self->peers[rank].conn);
	tls_setup_free(self->setup);
	if (self->wake >= 0)
		close(self->wake);
	pthread_cond_destroy(&self->change);
	pthread_mutex_destroy(&self->lock);
	free(self->polls);
	free(self->peers);
}

static uint64_t tcp_header_sent(void *state)
{
	struct tcp *self = state;
	uint64_t sum = 0;

	for (int rank = 0; rank < self->env->world; rank++)
		sum += self->peers[rank].header_sent;
	return sum;
}

const struct transport transport_tcp = {
	.entry = { .name = "tcp",
		   .summary = "a TLS 1.3 connection between each two ranks",
		   .options = options,
		   .params_size = sizeof(struct tcp_params) },
	.state_size = sizeof(struct tcp),
	.listen = tcp_listen,
	.open = tcp_open,
	.post_send = tcp_post_send,
	.post_recv = tcp_post_recv,
	.wait = tcp_wait,
	.abort = tcp_abort,
	.close = tcp_close,
	.header_sent = tcp_header_sent,
};
