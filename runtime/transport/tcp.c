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
#include "runtime/transport/host.h"
#include "runtime/transport/mailbox.h"
#include "runtime/transport/pipe.h"
#include "runtime/transport/rendezvous.h"
#include "runtime/transport/tls.h"

static const double flush_s = 1;      /* at close, for what is posted */
static const double glance_s = 0.002; /* between looks at what is still under way at close */
static const double quiet_s = 0.001; /* without anybody who waits, until the progress thread acts */

/* Not used once the meeting is over, so that nobody else's is the same. */
static const uint64_t meeting_tag = UINT64_C(1) << 62;

struct tcp_params {
	bool encrypt, shared_memory;
	size_t streams;
	double look_s;
};

static const struct opt options[] = {
	{ "encrypt", OPT_BOOL, offsetof(struct tcp_params, encrypt), "yes",
	  "encrypt what ranks tell each other; they authenticate each other in any case" },
	{ "shared_memory", OPT_BOOL, offsetof(struct tcp_params, shared_memory), "yes",
	  "ranks of one host pass messages through memory, past the network" },
	{ "streams", OPT_COUNT, offsetof(struct tcp_params, streams), "1",
	  "connections between each two ranks, for networks that limit each", 1, NET_STREAMS_MAX },
	{ "look", OPT_SECONDS, offsetof(struct tcp_params, look_s), "0.1ms",
	  "how long one who waits keeps looking before it sleeps", 0, 1 },
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
	struct host_memory *host; /* what is shared with ranks of this host, or NULL */
	uint64_t meeting_sent;	  /* bytes, in messages of its own */
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

static void met(void *arg, int rank, int number, const struct stream *stream)
{
	struct tcp *self = arg;

	engine_add(self->engine, rank, number, stream);
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

/* One message of the meeting of the ranks of this host. */
static int tell_or_hear(struct tcp *self, struct net_request *request, struct error *err)
{
	request->tag = meeting_tag;
	if (request->receive)
		tcp_post_recv(self, request);
	else
		tcp_post_send(self, request);
	return tcp_wait(self, request, clock_now() + self->env->timeout_s, err);
}

static int tell(void *arg, int peer, const void *bytes, size_t length, struct error *err)
{
	struct net_request request = { .peer = peer,
				       .bytes = (void *)(uintptr_t)bytes,
				       .length = length };
	struct tcp *self = arg;

	self->meeting_sent += length;
	return tell_or_hear(self, &request, err);
}

static int hear(void *arg, int peer, void *bytes, size_t length, struct error *err)
{
	struct net_request request = {
		.peer = peer, .bytes = bytes, .length = length, .receive = true
	};

	return tell_or_hear(arg, &request, err);
}

/* Until all ranks of this host use their memory: who left earlier would leave messages there that
 * nobody reads, for the connection has ended by then. The first of them hears from all others. */
static int await_sharers(struct tcp *self, struct error *err)
{
	struct pipe_end in, out;
	unsigned char word = 0;

	for (int rank = 0; rank < self->env->world; rank++) {
		if (!host_pipes(self->host, rank, &in, &out))
			continue;
		if (rank < self->env->rank)
			return tell(self, rank, &word, 1, err) < 0
				       ? -1
				       : hear(self, rank, &word, 1, err);
		if (hear(self, rank, &word, 1, err) < 0)
			return -1;
	}
	for (int rank = 0; rank < self->env->world; rank++)
		if (host_pipes(self->host, rank, &in, &out) && tell(self, rank, &word, 1, err) < 0)
			return -1;
	return 0;
}

static int share_memory(struct tcp *self, struct error *err)
{
	const struct host_link link = { tell, hear, self };
	struct pipe_end in, out;

	if (host_meet(&self->host, self->env, &link, err) < 0)
		return -1;
	if (!self->host)
		return 0;
	engine_share(self->engine, host_sleeper(self->host), host_bell(self->host));
	for (int rank = 0; rank < self->env->world; rank++)
		if (host_pipes(self->host, rank, &in, &out))
			engine_use_pipes(self->engine, rank, &in, &out);
	return await_sharers(self, err);
}

static int tcp_open(void *state, const void *params, const struct net_env *env,
		    net_handler *deliver, void *arg, struct error *err)
{
	const struct tcp_params *tcp_params = params;
	struct tcp *self = state;
	size_t polls;

	self->env = env;
	self->mine = (struct hello){ .version = HELLO_VERSION,
				     .job = env->job,
				     .view = env->view,
				     .rank = env->rank,
				     .world = env->world,
				     .encrypt = tcp_params->encrypt,
				     .streams = (int)tcp_params->streams };
	pthread_mutex_init(&self->lock, NULL);
	pthread_cond_init(&self->change, NULL);
	self->box = mailbox_new(env, self->mine.streams, deliver, arg);
	self->setup = tls_setup_new(env->key, err);
	self->rendezvous = rendezvous_new(env, self->setup, &self->mine);
	if (!self->setup)
		return -1;
	self->engine = engine_new(self->box, env, self->mine.streams, tcp_params->look_s, err);
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
	return tcp_params->shared_memory ? share_memory(self, err) : 0;
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
	host_free(self->host);
	tls_setup_free(self->setup);
	pthread_cond_destroy(&self->change);
	pthread_mutex_destroy(&self->lock);
	free(self->polls);
}

static struct net_overhead tcp_overhead(void *state)
{
	struct tcp *self = state;
	struct net_overhead overhead = engine_overhead(self->engine);

	overhead.control += self->meeting_sent;
	return overhead;
}

/* Ranks of one host need but one: they pass messages through memory. */
static int tcp_streams(void *state, int peer)
{
	struct tcp *self = state;
	const struct net_shared *shared = self->host ? host_shared(self->host) : NULL;

	return shared && shared->places[peer] >= 0 ? 1 : self->mine.streams;
}

static const struct net_shared *tcp_shared(void *state)
{
	struct tcp *self = state;

	return self->host ? host_shared(self->host) : NULL;
}

static int tcp_check(void *state, int peer, struct error *err)
{
	struct tcp *self = state;

	return mailbox_check(self->box, peer, err);
}

const struct transport transport_tcp = {
	.entry = { .name = "tcp",
		   .summary = "connections with TLS 1.3 between each two ranks",
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
	.overhead = tcp_overhead,
	.streams = tcp_streams,
	.shared = tcp_shared,
	.check = tcp_check,
};
