/* Ranks as threads of one process: a send copies straight into the peer's mailbox. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "runtime/transport/transport.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/transport/mailbox.h"

/* The lock is for `boxes` and `present`; once all are present they change no more. */
struct hub {
	int world, present;
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct net_shared shared; /* bytes are NULL if there is no memory */
	struct emulator *emulator;
	struct mailbox *boxes[]; /* [world]; a closed rank's stays until net_hub_free */
};

struct inproc {
	struct hub *hub;
	struct mailbox *box;
	int rank, world;
	uint32_t view;
	pthread_t progress; /* calls the handler */
	bool progresses;
};

static size_t shared_bytes(const struct hub *hub)
{
	return (size_t)hub->world * NET_PLACE_BYTES;
}

/* Mapped, not allocated: pages that nobody touches cost nothing. */
static void make_shared(struct hub *hub)
{
	int *places = xcalloc((size_t)hub->world, sizeof(int));
	void *bytes = mmap(NULL, shared_bytes(hub), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (int rank = 0; rank < hub->world; rank++)
		places[rank] = rank;
	hub->shared = (struct net_shared){ .bytes = bytes == MAP_FAILED ? NULL : bytes,
					   .count = hub->world,
					   .places = places };
}

static void free_shared(struct hub *hub)
{
	if (hub->shared.bytes)
		munmap(hub->shared.bytes, shared_bytes(hub));
	free((int *)(uintptr_t)hub->shared.places);
}

void *net_hub_new(int world)
{
	struct hub *hub = xcalloc(1, sizeof(*hub) + (size_t)world * sizeof(hub->boxes[0]));

	hub->world = world;
	make_shared(hub);
	pthread_mutex_init(&hub->lock, NULL);
	clock_cond_init(&hub->change);
	return hub;
}

void net_hub_free(void *arg)
{
	struct hub *hub = arg;

	for (int i = 0; i < hub->world; i++)
		mailbox_free(hub->boxes[i]);
	free_shared(hub);
	pthread_cond_destroy(&hub->change);
	pthread_mutex_destroy(&hub->lock);
	free(hub);
}

void net_hub_emulate(void *arg, struct emulator *emulator)
{
	struct hub *hub = arg;

	hub->emulator = emulator;
}

struct emulator *net_hub_emulator(const void *arg)
{
	const struct hub *hub = arg;

	return hub->emulator;
}

static int join_hub(struct inproc *self, const struct net_env *env, struct error *err)
{
	struct timespec until = clock_timespec(clock_now() + env->timeout_s);
	struct hub *hub = self->hub;
	bool late = false;
	int missing = 0;

	pthread_mutex_lock(&hub->lock);
	hub->boxes[env->rank] = self->box;
	hub->present++;
	pthread_cond_broadcast(&hub->change);
	while (hub->present < hub->world && !late)
		late = pthread_cond_timedwait(&hub->change, &hub->lock, &until) == ETIMEDOUT;
	while (missing < hub->world && hub->boxes[missing])
		missing++;
	pthread_mutex_unlock(&hub->lock);
	if (missing < hub->world)
		return error_set(err, "rank %d (%s) did not come within %gs", missing,
				 env->peers[missing].host, env->timeout_s);
	return 0;
}

static void *progress(void *arg)
{
	mailbox_deliver(arg, true);
	return NULL;
}

static int inproc_open(void *state, const void *params, const struct net_env *env,
		       net_handler *deliver, void *arg, struct error *err)
{
	struct inproc *self = state;
	int status;

	(void)params;
	self->hub = env->hub;
	self->rank = env->rank;
	self->world = env->world;
	self->view = env->view;
	self->box = mailbox_new(env, 1, deliver, arg);
	status = pthread_create(&self->progress, NULL, progress, self->box);
	if (status)
		error_set(err, "cannot start a thread: %s", strerror(status));
	self->progresses = status == 0;
	/* Joins also then, so that the others may close and the hub owns the mailbox. */
	return join_hub(self, env, err) || status ? -1 : 0;
}

static void copy(struct mailbox *peer, struct arrival *arrival, const struct net_request *request)
{
	const unsigned char *from = request->bytes;
	size_t room;

	for (size_t at = 0; at < request->length; at += room) {
		unsigned char *to = mailbox_pin(peer, arrival, at, &room);

		if (room > request->length - at)
			room = request->length - at;
		memcpy(to, from + at, room);
		mailbox_unpin(peer, arrival);
	}
}

static void inproc_post_send(void *state, struct net_request *request)
{
	struct inproc *self = state;
	struct mailbox *peer = self->hub->boxes[request->peer];
	const char *problem = mailbox_problem(self->box, request->peer);
	const struct envelope envelope = { self->view, request->tag, request->length };
	struct arrival arrival;

	if (!problem) {
		mailbox_begin(peer, &arrival, self->rank, &envelope);
		copy(peer, &arrival, request);
		mailbox_end(peer, &arrival);
	}
	mailbox_finish(self->box, request, problem);
}

static void inproc_post_recv(void *state, struct net_request *request)
{
	struct inproc *self = state;

	mailbox_post_recv(self->box, request);
}

static int inproc_wait(void *state, struct net_request *request, double deadline, struct error *err)
{
	struct inproc *self = state;

	return mailbox_wait(self->box, request, deadline, err);
}

static void inproc_abort(void *state, const char *why)
{
	struct inproc *self = state;

	mailbox_abort(self->box, why);
}

static void inproc_close(void *state)
{
	struct inproc *self = state;
	struct hub *hub = self->hub;

	mailbox_stop(self->box);
	if (self->progresses)
		pthread_join(self->progress, NULL);
	pthread_mutex_lock(&hub->lock);
	for (int i = 0; i < self->world; i++)
		if (i != self->rank && hub->boxes[i])
			mailbox_lose(hub->boxes[i], self->rank, "connection closed");
	pthread_mutex_unlock(&hub->lock);
}

static const struct net_shared *inproc_shared(void *state)
{
	struct inproc *self = state;
	const struct net_shared *shared = &self->hub->shared;

	return shared->bytes && shared->count > 1 ? shared : NULL;
}

static int inproc_check(void *state, int peer, struct error *err)
{
	struct inproc *self = state;

	return mailbox_check(self->box, peer, err);
}

const struct transport transport_inproc = {
	.entry = { .name = "inproc", .summary = "ranks as threads of one process" },
	.state_size = sizeof(struct inproc),
	.threads = true,
	.open = inproc_open,
	.post_send = inproc_post_send,
	.post_recv = inproc_post_recv,
	.wait = inproc_wait,
	.abort = inproc_abort,
	.close = inproc_close,
	.shared = inproc_shared,
	.check = inproc_check,
};
