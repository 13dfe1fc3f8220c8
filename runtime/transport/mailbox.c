/*
 * The requests of one rank: posted receives matched with messages that arrive, sends that wait for
 * their turn, and everybody who waits for either. A message that is kept has the form of a request
 * with its bytes behind it, so that one kind of queue holds all.
 */
#include "runtime/transport/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/units.h"
#include "runtime/transport/lead.h"
#include "runtime/transport/queue.h"

enum { UNSEEN_BYTES = 1 << 20 }; /* of memory for what a peer only announces */

struct pigeonhole {
	struct queue receives; /* posted, no message yet */
	struct queue kept;     /* messages, nobody asked yet */
	char *problem;	       /* why the peer is lost, or NULL */
};

struct outlet {
	struct queue sends;
	bool begun;  /* the first send is partly on the wire */
	bool pinned; /* the transport is reading the first send's bytes */
};

/* The lock is for everything below it, and for the requests and arrivals that are in here. */
struct mailbox {
	struct net_env env;
	int streams;
	struct mailbox_engine engine;
	net_handler *deliver;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t change; /* a request is done, bytes are unpinned, the lead is free, abort */
	pthread_cond_t news;   /* an unsolicited message, the lead is free, rouse, stop */
	struct pigeonhole *holes; /* [world] */
	struct outlet *outlets;	  /* [world * streams] */
	struct lead lead;
	struct queue told; /* unsolicited messages */
	struct arrival *arrivals;
	char **texts; /* [text_count] that requests point to */
	size_t text_count;
	const char *why;    /* of the abort, or NULL */
	size_t waiting;	    /* threads that wait and do not lead */
	size_t withdrawing; /* threads that wait for bytes to be unpinned */
	bool roused, stopped;
};

/* Memory for a message to keep, but not yet for what its sender only says that it will send. */
static void begin_message(struct arrival *arrival, uint64_t tag, size_t length)
{
	size_t capacity = length < UNSEEN_BYTES ? length : UNSEEN_BYTES;
	struct net_request *message = xmalloc(sizeof(*message) + capacity);

	*message = (struct net_request){
		.bytes = message + 1, .length = length, .tag = tag, .peer = arrival->peer
	};
	arrival->into = message;
	arrival->capacity = capacity;
}

/* To twice the size: what has come so far is there. */
static void grow_message(struct arrival *arrival)
{
	size_t length = arrival->into->length;
	size_t capacity = arrival->capacity < length / 2 ? 2 * arrival->capacity : length;

	arrival->into = xrealloc(arrival->into, 1, sizeof(*arrival->into) + capacity);
	arrival->into->bytes = arrival->into + 1;
	arrival->capacity = capacity;
}

static void finish(struct mailbox *box, struct net_request *request, const char *problem)
{
	if (request->detached) {
		free(request);
		return;
	}
	request->problem = problem;
	request->done = true;
	pthread_cond_broadcast(&box->change);
	if (request == box->lead.awaited)
		box->engine.ring(box->engine.arg);
}

/* Why a message of that length is not one that the receive is for; NULL: it is, and its length is
 * the receive's. */
static const char *misfit(struct mailbox *box, struct net_request *request, size_t length)
{
	if (length < request->length && request->up_to)
		request->length = length;
	if (length == request->length) /* of others left alone: their owner may look at it */
		return NULL;
	box->texts = xgrow(box->texts, box->text_count, sizeof(*box->texts));
	return box->texts[box->text_count++] =
		       xasprintf("rank %d (%s) sent a message of %zu bytes, expected were %s%zu",
				 request->peer, box->env.peers[request->peer].host, length,
				 request->up_to ? "at most " : "", request->length);
}

/* Gives the whole message to the receive, and frees it. */
static void hand_over(struct mailbox *box, struct net_request *message, struct net_request *request)
{
	const char *problem = misfit(box, request, message->length);

	if (!problem && message->length)
		memcpy(request->bytes, message->bytes, message->length);
	finish(box, request, problem);
	free(message);
}

static void fail_all(struct mailbox *box, struct queue *queue, const char *problem)
{
	while (queue->first)
		finish(box, queue_take(queue), problem);
}

static struct outlet *outlet_of(struct mailbox *box, int peer, int stream)
{
	return &box->outlets[peer * box->streams + stream % box->streams];
}

static void fail_peer(struct mailbox *box, int peer, const char *why)
{
	struct pigeonhole *hole = &box->holes[peer];

	if (!hole->problem)
		hole->problem =
			xasprintf("lost rank %d (%s): %s", peer, box->env.peers[peer].host, why);
	fail_all(box, &hole->receives, hole->problem);
	for (int stream = 0; stream < box->streams; stream++) {
		struct outlet *outlet = outlet_of(box, peer, stream);

		fail_all(box, &outlet->sends, hole->problem);
		outlet->begun = false;
	}
}

static struct arrival *find_arrival(const struct mailbox *box, const struct net_request *into)
{
	struct arrival *arrival = box->arrivals;

	while (arrival && arrival->into != into)
		arrival = arrival->next;
	return arrival;
}

static void unlink_arrival(struct mailbox *box, const struct arrival *arrival)
{
	struct arrival **link = &box->arrivals;

	while (*link != arrival)
		link = &(*link)->next;
	*link = arrival->next;
}

static void wait_unpinned(struct mailbox *box)
{
	box->withdrawing++;
	pthread_cond_wait(&box->change, &box->lock);
	box->withdrawing--;
}

/* The owner wants its buffer back, now; the rest of the message goes elsewhere. */
static void withdraw_receive(struct mailbox *box, struct net_request *request)
{
	struct arrival *arrival;

	if (queue_remove(&box->holes[request->peer].receives, request))
		return;
	while ((arrival = find_arrival(box, request)) && arrival->pinned)
		wait_unpinned(box);
	if (!arrival)
		return;
	begin_message(arrival, request->tag, request->length);
	arrival->posted = false;
	arrival->dropped = true;
}

/* A message that is half sent cannot be taken back: the connection is of no use any more. */
static void withdraw_send(struct mailbox *box, struct net_request *request)
{
	struct outlet *outlet = outlet_of(box, request->peer, NET_STREAM(request->tag));
	bool first;

	while (outlet->sends.first == request && outlet->pinned)
		wait_unpinned(box);
	first = outlet->sends.first == request;
	if (queue_remove(&outlet->sends, request) && first && outlet->begun)
		fail_peer(box, request->peer, "gave up in the middle of a message");
}

static int wait_problem(const struct mailbox *box, const struct net_request *request, double waited,
			struct error *err)
{
	char seconds[32];

	if (box->why)
		return error_set(err, "%s", box->why);
	if (request->done)
		return error_set(err, "%s", request->problem);
	units_show_seconds(seconds, sizeof(seconds), waited);
	return error_set(err,
			 request->receive ? "no message from rank %d (%s) within %s"
					  : "could not send to rank %d (%s) within %s",
			 request->peer, box->env.peers[request->peer].host, seconds);
}

static bool take_lead(struct mailbox *box, const struct net_request *awaited)
{
	return box->engine.drive && lead_take(&box->lead, awaited);
}

static void drop_lead(struct mailbox *box)
{
	lead_drop(&box->lead, &box->news);
	if (box->waiting)
		pthread_cond_broadcast(&box->change); /* one of them goes on */
}

/* Leads if nobody else does. Returns with the request done, after abort, or at the deadline. */
static void wait_done(struct mailbox *box, const struct net_request *request, double deadline)
{
	struct timespec until = clock_timespec(deadline);
	bool leads = false, late = false;

	while (!request->done && !box->why && !late) {
		leads = leads || take_lead(box, request);
		if (leads) {
			pthread_mutex_unlock(&box->lock);
			box->engine.drive(box->engine.arg, request, deadline);
			late = clock_now() >= deadline;
			pthread_mutex_lock(&box->lock);
			continue;
		}
		box->waiting++;
		late = pthread_cond_timedwait(&box->change, &box->lock, &until) == ETIMEDOUT;
		box->waiting--;
	}
	if (leads)
		drop_lead(box);
}

int mailbox_wait(struct mailbox *box, struct net_request *request, double deadline,
		 struct error *err)
{
	double start = clock_now();
	int status = 0;

	pthread_mutex_lock(&box->lock);
	wait_done(box, request, deadline);
	if (!request->done && request->receive)
		withdraw_receive(box, request);
	else if (!request->done)
		withdraw_send(box, request);
	if (!request->done || request->problem || box->why)
		status = wait_problem(box, request, clock_now() - start, err);
	pthread_mutex_unlock(&box->lock);
	return status;
}

void mailbox_post_send(struct mailbox *box, struct net_request *request)
{
	const char *problem;

	pthread_mutex_lock(&box->lock);
	problem = box->holes[request->peer].problem;
	if (problem)
		finish(box, request, problem);
	else
		queue_add(&outlet_of(box, request->peer, NET_STREAM(request->tag))->sends, request);
	pthread_mutex_unlock(&box->lock);
}

void mailbox_post_recv(struct mailbox *box, struct net_request *request)
{
	struct pigeonhole *hole = &box->holes[request->peer];
	struct net_request *message;

	pthread_mutex_lock(&box->lock);
	message = queue_take_tag(&hole->kept, request->tag);
	if (message)
		hand_over(box, message, request);
	else if (hole->problem)
		finish(box, request, hole->problem);
	else
		queue_add(&hole->receives, request);
	pthread_mutex_unlock(&box->lock);
}

int mailbox_check(struct mailbox *box, int peer, struct error *err)
{
	const char *problem;

	pthread_mutex_lock(&box->lock);
	problem = box->why ? box->why : box->holes[peer].problem;
	if (problem)
		error_set(err, "%s", problem);
	pthread_mutex_unlock(&box->lock);
	return problem ? -1 : 0;
}

void mailbox_abort(struct mailbox *box, const char *why)
{
	pthread_mutex_lock(&box->lock);
	if (!box->why)
		box->why = why;
	pthread_cond_broadcast(&box->change);
	if (box->lead.taken)
		box->engine.ring(box->engine.arg);
	pthread_mutex_unlock(&box->lock);
}

bool mailbox_lead(struct mailbox *box)
{
	bool leads;

	pthread_mutex_lock(&box->lock);
	leads = take_lead(box, NULL);
	pthread_mutex_unlock(&box->lock);
	return leads;
}

void mailbox_leave(struct mailbox *box)
{
	pthread_mutex_lock(&box->lock);
	drop_lead(box);
	pthread_mutex_unlock(&box->lock);
}

void mailbox_rest(struct mailbox *box, double quiet_s)
{
	pthread_mutex_lock(&box->lock);
	while (!box->told.first && !box->roused && !lead_is_idle(&box->lead))
		lead_rest(&box->lead, &box->news, &box->lock, quiet_s);
	pthread_mutex_unlock(&box->lock);
}

void mailbox_rouse(struct mailbox *box)
{
	pthread_mutex_lock(&box->lock);
	box->roused = true;
	pthread_cond_broadcast(&box->news);
	pthread_mutex_unlock(&box->lock);
}

static void drop_arrival(struct mailbox *box, struct arrival *arrival)
{
	unlink_arrival(box, arrival);
	if (arrival->posted)
		finish(box, arrival->into, box->holes[arrival->peer].problem);
	else
		free(arrival->into);
}

void mailbox_lose(struct mailbox *box, int peer, const char *why)
{
	struct arrival *next;

	pthread_mutex_lock(&box->lock);
	if (!box->stopped) {
		fail_peer(box, peer, why);
		for (struct arrival *arrival = box->arrivals; arrival; arrival = next) {
			next = arrival->next;
			if (arrival->peer == peer)
				drop_arrival(box, arrival);
		}
	}
	pthread_mutex_unlock(&box->lock);
}

const char *mailbox_problem(struct mailbox *box, int peer)
{
	const char *problem;

	pthread_mutex_lock(&box->lock);
	problem = box->holes[peer].problem;
	pthread_mutex_unlock(&box->lock);
	return problem;
}

void mailbox_finish(struct mailbox *box, struct net_request *request, const char *problem)
{
	pthread_mutex_lock(&box->lock);
	finish(box, request, problem);
	pthread_mutex_unlock(&box->lock);
}

struct net_request *mailbox_sending(struct mailbox *box, int peer, int stream)
{
	struct outlet *outlet = outlet_of(box, peer, stream);
	struct net_request *request;

	pthread_mutex_lock(&box->lock);
	request = outlet->sends.first;
	outlet->pinned = outlet->begun = request != NULL;
	pthread_mutex_unlock(&box->lock);
	return request;
}

void mailbox_sent(struct mailbox *box, int peer, int stream, bool whole)
{
	struct outlet *outlet = outlet_of(box, peer, stream);

	pthread_mutex_lock(&box->lock);
	outlet->pinned = false;
	if (whole) {
		outlet->begun = false;
		finish(box, queue_take(&outlet->sends), NULL);
	}
	if (box->withdrawing)
		pthread_cond_broadcast(&box->change);
	pthread_mutex_unlock(&box->lock);
}

bool mailbox_has_sends(struct mailbox *box, int peer, int stream)
{
	bool any;

	pthread_mutex_lock(&box->lock);
	any = outlet_of(box, peer, stream)->sends.first;
	pthread_mutex_unlock(&box->lock);
	return any;
}

void mailbox_begin(struct mailbox *box, struct arrival *arrival, int peer,
		   const struct envelope *envelope)
{
	struct net_request *request = NULL;
	const char *problem;

	*arrival = (struct arrival){ .peer = peer };
	pthread_mutex_lock(&box->lock);
	arrival->dropped = box->stopped || envelope->view != box->env.view;
	if (!arrival->dropped)
		request = queue_take_tag(&box->holes[peer].receives, envelope->tag);
	problem = request ? misfit(box, request, envelope->length) : NULL;
	if (problem) {
		finish(box, request, problem);
		request = NULL;
		arrival->dropped = true;
	}
	arrival->posted = request;
	arrival->into = request;
	if (request)
		arrival->capacity = request->length;
	else
		begin_message(arrival, envelope->tag, envelope->length);
	arrival->next = box->arrivals;
	box->arrivals = arrival;
	pthread_mutex_unlock(&box->lock);
}

unsigned char *mailbox_pin(struct mailbox *box, struct arrival *arrival, size_t at, size_t *room)
{
	unsigned char *bytes;

	pthread_mutex_lock(&box->lock);
	arrival->pinned = true;
	if (arrival->dropped)
		at = 0; /* over what came before */
	else if (at == arrival->capacity)
		grow_message(arrival);
	bytes = (unsigned char *)arrival->into->bytes + at;
	*room = arrival->capacity - at;
	pthread_mutex_unlock(&box->lock);
	return bytes;
}

void mailbox_unpin(struct mailbox *box, struct arrival *arrival)
{
	pthread_mutex_lock(&box->lock);
	arrival->pinned = false;
	if (box->withdrawing)
		pthread_cond_broadcast(&box->change);
	pthread_mutex_unlock(&box->lock);
}

void mailbox_end(struct mailbox *box, struct arrival *arrival)
{
	struct net_request *message, *request;

	pthread_mutex_lock(&box->lock);
	message = arrival->into; /* not before: a receive may be withdrawn up to here */
	unlink_arrival(box, arrival);
	if (arrival->posted) {
		finish(box, message, NULL);
	} else if (arrival->dropped || box->stopped) {
		free(message);
	} else if (message->tag & NET_TAG_UNSOLICITED) {
		queue_add(&box->told, message);
		pthread_cond_signal(&box->news);
	} else if ((request = queue_take_tag(&box->holes[arrival->peer].receives, message->tag))) {
		hand_over(box, message, request);
	} else {
		queue_add(&box->holes[arrival->peer].kept, message);
	}
	pthread_mutex_unlock(&box->lock);
}

void mailbox_deliver(struct mailbox *box, bool stay)
{
	struct net_request *message;

	pthread_mutex_lock(&box->lock);
	while (!box->stopped && (box->told.first || stay)) {
		if (!box->told.first) {
			pthread_cond_wait(&box->news, &box->lock);
			continue;
		}
		message = queue_take(&box->told);
		pthread_mutex_unlock(&box->lock);
		box->deliver(box->arg, message->peer, message->tag, message->bytes,
			     message->length);
		free(message);
		pthread_mutex_lock(&box->lock);
	}
	pthread_mutex_unlock(&box->lock);
}

bool mailbox_has_news(struct mailbox *box)
{
	bool any;

	pthread_mutex_lock(&box->lock);
	any = box->told.first;
	pthread_mutex_unlock(&box->lock);
	return any;
}

void mailbox_stop(struct mailbox *box)
{
	pthread_mutex_lock(&box->lock);
	box->stopped = true;
	pthread_cond_broadcast(&box->news);
	pthread_mutex_unlock(&box->lock);
}

struct mailbox *mailbox_new(const struct net_env *env, int streams, net_handler *deliver, void *arg)
{
	struct mailbox *box = xcalloc(1, sizeof(*box));

	box->env = *env;
	memory_wipe(box->env.key, sizeof(box->env.key)); /* not this one's business */
	box->streams = streams;
	box->deliver = deliver;
	box->arg = arg;
	box->holes = xcalloc((size_t)env->world, sizeof(*box->holes));
	box->outlets = xcalloc((size_t)(env->world * streams), sizeof(*box->outlets));
	pthread_mutex_init(&box->lock, NULL);
	clock_cond_init(&box->change);
	clock_cond_init(&box->news);
	return box;
}

void mailbox_set_engine(struct mailbox *box, const struct mailbox_engine *engine)
{
	box->engine = *engine;
}

void mailbox_free(struct mailbox *box)
{
	if (!box)
		return;
	for (int i = 0; i < box->env.world; i++) {
		queue_free(&box->holes[i].kept);
		free(box->holes[i].problem);
	}
	for (int i = 0; i < box->env.world * box->streams; i++)
		fail_all(box, &box->outlets[i].sends, "closed");
	queue_free(&box->told);
	for (struct arrival *arrival = box->arrivals; arrival; arrival = arrival->next)
		if (!arrival->posted)
			free(arrival->into);
	for (size_t i = 0; i < box->text_count; i++)
		free(box->texts[i]);
	free(box->texts);
	free(box->outlets);
	free(box->holes);
	pthread_cond_destroy(&box->news);
	pthread_cond_destroy(&box->change);
	pthread_mutex_destroy(&box->lock);
	free(box);
}
