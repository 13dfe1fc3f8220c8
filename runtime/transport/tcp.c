/*
 * Connections between each two ranks. A progress thread meets the peers, and later moves the bytes
 * while nobody waits, and calls the handler.
 */
#include "runtime/transport/transport.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/opt.h"
#include "lib/sock.h"
#include "runtime/transport/engine.h"
#include "runtime/transport/hello.h"
#include "runtime/transport/mailbox.h"
#include "runtime/transport/rendezvous.h"
#include "runtime/transport/tls.h"

static const double flush_s = 1;      /* at close, for what is posted */
static const double glance_s = 0.002; /* between looks at what is still under way at close */
static const double quiet_s = 0.001; /* without anybody who waits, until the progress thread acts */

struct tcp_params {
	bool encrypt;
};

static const struct opt options[] = {
	{ "encrypt", OPT_BOOL, offsetof(struct tcp_params, encrypt), "yes",
	  "encrypt what ranks tell each other; they authenticate each other in any case" },
	{ 0 }
};

enum stage { OPENING, OPEN, FAILED };

struct tcp {
	const struct net_env *env;
	struct mailbox *box;
	struct tls_setup *setup;
	struct rendezvous *rendezvous; /* the progress thread's */
	struct hello mine;
	struct engine *engine;
	struct pollfd *polls;
	pthread_t progress;
	bool running;
	atomic_bool closing, aborted;

	pthread_mutex_t lock; /* stage, error */
	pthread_cond_t change;
	enum stage stage;
	struct error error;
};

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

static void met(void *arg, int rank, const struct stream *stream)
{
	struct tcp *self = arg;

	engine_add(self->engine, rank, 0, stream);
}

static void meet(struct tcp *self)
{
	struct error why;

	if (self->stage != OPENING)
		return;
	if (rendezvous_step(self->rendezvous, self->polls + engine_polls(self->engine), met, self,
			    &why) < 0)
		enter(self, FAILED, &why);
	else if (rendezvous_missing(self->rendezvous) == 0)
		enter(self, OPEN, NULL);
}

/* Waits for something to happen, until `until` at most, and lets it happen. */
static void turn(struct tcp *self, double until)
{
	nfds_t count = engine_polls(self->engine);
	bool ready = engine_watch(self->engine, self->polls), found;

	if (self->stage == OPENING)
		count += rendezvous_poll(self->rendezvous, self->polls + count, &until);
	found = poll(self->polls, count, ready ? 0 : clock_poll_ms(until)) >= 0;
	engine_awake(self->engine, self->polls);
	if (!found)
		return;
	if (mailbox_lead(self->box)) {
		engine_move(self->engine, self->polls);
		mailbox_leave(self->box);
	}
	meet(self);
	mailbox_deliver(self->box, false);
}

static void *progress(void *arg)
{
	struct tcp *self = arg;
	double end;
	sigset_t all;

	sigfillset(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	meet(self); /* there may be nobody to wait for */
	while (!self->closing) {
		mailbox_rest(self->box, quiet_s);
		turn(self, clock_now() + 60);
	}
	end = self->aborted || self->stage != OPEN ? 0 : clock_now() + flush_s;
	while (!engine_all_delivered(self->engine) && clock_now() < end)
		turn(self, clock_now() + glance_s);
	return NULL;
}

static int start_progress(struct tcp *self, struct error *err)
{
	int status = pthread_create(&self->progress, NULL, progress, self);

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
	size_t polls;

	self->env = env;
	self->mine = (struct hello){ HELLO_VERSION, env->job,	env->view,
				     env->rank,	    env->world, tcp_params->encrypt };
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->change, NULL);
	self->box = mailbox_new(env, 1, deliver, arg);
	self->setup = tls_setup_new(env->key, err);
	self->rendezvous = rendezvous_new(env, self->setup, &self->mine);
	if (!self->setup)
		return -1;
	self->engine = engine_new(self->box, env, 1, err);
	if (!self->engine)
		return -1;
	polls = engine_polls(self->engine) + rendezvous_poll_max(self->rendezvous);
	self->polls = xcalloc(polls, sizeof(struct pollfd));
	if (start_progress(self, err) < 0)
		return -1;
	pthread_mutex_lock(&self->lock);
	while (self->stage == OPENING)
		pthread_cond_wait(&self->change, &self->lock);
	pthread_mutex_unlock(&self->lock);
	if (self->stage != OPEN)
		return error_set(err, "%s", self->error.text);
	tls_setup_forget(self->setup); /* everybody is here, and nobody comes back */
	return 0;
}

static void tcp_post_send(void *state, struct net_request *request)
{
	int rank = request->peer,
	    stream = NET_STREAM(request->tag); /* it may be gone once posted */
	struct tcp *self = state;

	mailbox_post_send(self->box, request);
	engine_push(self->engine, rank, stream);
}

static void tcp_post_recv(void *state, struct net_request *request)
{
	struct tcp *self = state;

	mailbox_post_recv(self->box, request);
}

static int tcp_wait(void *state, struct net_request *request, double deadline, struct error *err)
{
	struct tcp *self = state;

	if (mailbox_wait(self->box, request, deadline, err) == 0)
		return 0;
	if (!request->receive) /* what was begun and given up must be noticed */
		engine_push(self->engine, request->peer, NET_STREAM(request->tag));
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
		mailbox_rouse(self->box);
		engine_wake(self->engine);
		pthread_join(self->progress, NULL);
	}
	rendezvous_free(self->rendezvous);
	mailbox_free(self->box); /* before the arrivals, which are the connections' */
	engine_free(self->engine);
	tls_setup_free(self->setup);
	pthread_cond_destroy(&self->change);
	pthread_mutex_destroy(&self->lock);
	free(self->polls);
}

static uint64_t tcp_header_sent(void *state)
{
	struct tcp *self = state;

	return engine_header_sent(self->engine);
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
