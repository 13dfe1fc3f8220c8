/*
 * Meets the peers of a rank. Every socket on the way is a handshake with a deadline; when there are
 * too many, the oldest accepted one goes, so that a flood of strangers never fills the room.
 */
#include "runtime/transport/rendezvous.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "runtime/transport/handshake.h"
#include "runtime/transport/transport.h"

enum { STRANGERS_MAX = 64, ACCEPTS_AT_ONCE = 16 };

static const double patience_s = 5;   /* with an accepted connection until it is authenticated */
static const double redial_s = 0.05;  /* after a failure */
static const double breather_s = 0.1; /* without accepting, when descriptors have run out */

/* A connection to be made. */
struct way {
	bool met, dialling;
	double next_dial;
	struct error problem; /* why the last dialling failed */
};

struct rendezvous {
	const struct net_env *env;
	struct tls_setup *setup;
	int streams;
	struct hello *mine; /* [streams] */
	int listener;	    /* -1 once everybody is here */
	double deadline, deaf_until;
	struct way *ways; /* [world * streams] */
	size_t missing;

	struct handshake **handshakes; /* [handshakes_max], oldest first */
	size_t count, max, polled;
	size_t refused;
	struct error refusal; /* the last one */
};

struct rendezvous *rendezvous_new(const struct net_env *env, struct tls_setup *setup,
				  const struct hello *mine)
{
	struct rendezvous *r = xcalloc(1, sizeof(*r));

	r->env = env;
	r->setup = setup;
	r->streams = mine->streams;
	r->mine = xcalloc((size_t)r->streams, sizeof(*r->mine));
	for (int i = 0; i < r->streams; i++) {
		r->mine[i] = *mine;
		r->mine[i].stream = i;
	}
	r->listener = env->listener;
	r->deadline = clock_now() + env->timeout_s;
	r->ways = xcalloc((size_t)(env->world * r->streams), sizeof(*r->ways));
	r->missing = (size_t)((env->world - 1) * r->streams);
	r->max = (size_t)(env->world * r->streams) + STRANGERS_MAX;
	r->handshakes = xcalloc(r->max, sizeof(struct handshake *));
	return r;
}

/* One line, however many knocked. */
static void tell_refused(struct rendezvous *r)
{
	if (r->refused)
		log_warn("rank %d refused %zu connection%s that are not of this run, the last one "
			 "from %s",
			 r->env->rank, r->refused, r->refused == 1 ? "" : "s", r->refusal.text);
	r->refused = 0;
}

void rendezvous_free(struct rendezvous *r)
{
	if (!r)
		return;
	file_close(&r->listener);
	for (size_t i = 0; i < r->count; i++)
		handshake_free(r->handshakes[i]);
	tell_refused(r);
	free(r->handshakes);
	free(r->ways);
	free(r->mine);
	free(r);
}

size_t rendezvous_poll_max(const struct rendezvous *r)
{
	return r->max + 1;
}

size_t rendezvous_missing(const struct rendezvous *r)
{
	return r->missing;
}

static void sooner(double *until, double at)
{
	if (at < *until)
		*until = at;
}

size_t rendezvous_poll(struct rendezvous *r, struct pollfd *polls, double *until)
{
	double now = clock_now();

	if (r->missing == 0)
		return 0;
	polls[0] =
		(struct pollfd){ .fd = now < r->deaf_until ? -1 : r->listener, .events = POLLIN };
	sooner(until, r->deadline);
	if (now < r->deaf_until)
		sooner(until, r->deaf_until);
	for (size_t i = 0; i < r->count; i++) {
		polls[i + 1] = (struct pollfd){ .fd = r->handshakes[i]->stream.fd,
						.events = r->handshakes[i]->events };
		sooner(until, r->handshakes[i]->deadline);
	}
	for (int i = 0; i < r->env->rank * r->streams; i++)
		if (!r->ways[i].met && !r->ways[i].dialling)
			sooner(until, r->ways[i].next_dial);
	r->polled = r->count;
	return r->count + 1;
}

static void drop(struct rendezvous *r, size_t i)
{
	handshake_free(r->handshakes[i]);
	r->count--;
	memmove(&r->handshakes[i], &r->handshakes[i + 1],
		(r->count - i) * sizeof(struct handshake *));
}

/* Somebody dialled us who may not come in; or left, which says less than an earlier verdict. */
static void refuse(struct rendezvous *r, size_t i, bool left, const struct error *why)
{
	struct error refusal;

	error_set(&refusal, "%s: %s", r->handshakes[i]->name, why->text);
	if (!left || r->refused == 0)
		r->refusal = refusal;
	r->refused++;
	log_debug("rank %d refused a connection from %s", r->env->rank, refusal.text);
	drop(r, i);
}

/* A peer that we dialled: another attempt may help, unless it is the wrong one. */
static int redial(struct rendezvous *r, size_t i, enum handshake_result result,
		  const struct error *why, struct error *err)
{
	int rank = r->handshakes[i]->expected;
	struct way *way = &r->ways[rank * r->streams + r->handshakes[i]->mine->stream];
	const struct net_peer *where = &r->env->peers[rank];

	way->dialling = false;
	way->next_dial = clock_now() + redial_s;
	way->problem = *why;
	drop(r, i);
	if (result != HANDSHAKE_REFUSED)
		return 0;
	return error_set(err, "rank %d (%s) at %s, port %u: %s", rank, where->host, where->address,
			 where->port, why->text);
}

/* Whether the rank that dialled us is one that should. */
static int admit(const struct rendezvous *r, const struct handshake *h, struct error *err)
{
	int rank = h->theirs.rank, number = h->theirs.stream;

	if (rank <= r->env->rank || rank >= r->env->world)
		return error_set(err, "rank %d should not dial rank %d", rank, r->env->rank);
	if (number >= r->streams)
		return error_set(err, "rank %d has no stream %d", rank, number);
	if (r->ways[rank * r->streams + number].met)
		return error_set(err, "rank %d is here already", rank);
	return 0;
}

static void welcome(struct rendezvous *r, size_t i, rendezvous_met *met, void *arg)
{
	struct handshake *h = r->handshakes[i];
	int rank = h->theirs.rank, number = h->dials ? h->mine->stream : h->theirs.stream;

	r->ways[rank * r->streams + number].met = true;
	r->missing--;
	met(arg, rank, number, &h->stream);
	stream_init(&h->stream, -1);
	drop(r, i);
}

static int step_one(struct rendezvous *r, size_t i, short events, rendezvous_met *met, void *arg,
		    struct error *err)
{
	struct handshake *h = r->handshakes[i];
	enum handshake_result result = HANDSHAKE_GOES_ON;
	struct error why;

	if (events)
		result = handshake_step(h, &why);
	if (result == HANDSHAKE_GOES_ON && clock_now() >= h->deadline) {
		if (h->dials)
			error_set(&why, "no answer");
		else
			error_set(&why, "said nothing that counts for %gs", patience_s);
		result = HANDSHAKE_BROKEN;
	}
	if (result == HANDSHAKE_GOES_ON)
		return 0;
	if (result == HANDSHAKE_DONE && (h->dials || admit(r, h, &why) == 0))
		welcome(r, i, met, arg);
	else if (h->dials)
		return redial(r, i, result, &why, err);
	else
		refuse(r, i, result == HANDSHAKE_BROKEN, &why);
	return 0;
}

static void add(struct rendezvous *r, struct handshake *handshake, double deadline)
{
	handshake->deadline = deadline;
	r->handshakes[r->count++] = handshake;
}

/* Makes room by dropping the oldest accepted connection that has not shown the key, or else the
 * oldest accepted one; false if there is none. */
static bool make_room(struct rendezvous *r)
{
	const struct error why = { "made room for others" };
	size_t oldest = r->count;

	for (size_t i = r->count; i-- > 0;)
		if (!r->handshakes[i]->dials && (oldest == r->count || !r->handshakes[i]->secure ||
						 r->handshakes[oldest]->secure))
			oldest = i;
	if (oldest == r->count)
		return false;
	refuse(r, oldest, true, &why);
	return true;
}

static void accept_some(struct rendezvous *r)
{
	for (int n = 0; n < ACCEPTS_AT_ONCE; n++) {
		int fd = sock_accept(r->listener);
		struct handshake *h;
		struct error err;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE) && !make_room(r))
			r->deaf_until = clock_now() + breather_s;
		if (fd < 0)
			return;
		if (r->count == r->max)
			make_room(r);
		h = handshake_accept(fd, r->setup, r->mine, &err);
		if (h)
			add(r, h, clock_now() + patience_s);
		else
			log_debug("rank %d: %s", r->env->rank, err.text);
	}
}

static void dial_due(struct rendezvous *r)
{
	double now = clock_now();

	for (int i = 0; i < r->env->rank * r->streams; i++) {
		int rank = i / r->streams, number = i % r->streams;
		const struct net_peer *where = &r->env->peers[rank];
		struct way *way = &r->ways[i];
		struct handshake *h;

		if (way->met || way->dialling || now < way->next_dial)
			continue;
		if (r->count == r->max)
			make_room(r);
		h = handshake_dial(where->address, where->port, rank, r->setup, &r->mine[number],
				   &way->problem);
		way->next_dial = now + redial_s;
		way->dialling = h;
		if (h)
			add(r, h, r->deadline);
	}
}

/* Who of those that should dial us, or be dialled, has let us down. */
static int too_late(const struct rendezvous *r, struct error *err)
{
	const struct net_peer *where;
	int i = 0, rank;

	while (i / r->streams == r->env->rank || r->ways[i].met)
		i++;
	rank = i / r->streams;
	where = &r->env->peers[rank];
	if (rank < r->env->rank)
		return error_set(
			err, "no connection to rank %d (%s) at %s, port %u, within %gs: %s", rank,
			where->host, where->address, where->port, r->env->timeout_s,
			r->ways[i].problem.text[0] ? r->ways[i].problem.text : "no answer");
	return error_set(err, "rank %d (%s) did not connect within %gs%s%s", rank, where->host,
			 r->env->timeout_s, r->refused ? "; the last one refused was " : "",
			 r->refusal.text);
}

int rendezvous_step(struct rendezvous *r, const struct pollfd *polls, rendezvous_met *met,
		    void *arg, struct error *err)
{
	static const struct error late = { "had not shown this run's key when all had" };

	if (r->missing == 0)
		return 0;
	for (size_t i = r->polled; i-- > 0;)
		if (step_one(r, i, polls[i + 1].revents, met, arg, err) < 0)
			return -1;
	if (polls[0].revents)
		accept_some(r);
	dial_due(r);
	if (r->missing)
		return clock_now() < r->deadline ? 0 : too_late(r, err);
	file_close(&r->listener); /* nobody else has any business here */
	for (size_t i = r->count; i-- > 0;)
		if (r->handshakes[i]->dials)
			drop(r, i);
		else
			refuse(r, i, false, &late);
	tell_refused(r);
	return 0;
}
