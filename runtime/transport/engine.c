/*
 * Moves the bytes of a rank's connections. Each peer has a lock, which is held to read or write its
 * connections and never while sleeping. Only the leader reads; everybody may write.
 */
#include "runtime/transport/engine.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "runtime/transport/conn.h"
#include "runtime/transport/mailbox.h"
#include "runtime/transport/pipe.h"

enum {
	FAVOUR_BYTES = 256 << 10, /* from the peer waited for, before a look at the others */
	FAVOUR_TURN = 16 << 10,	  /* a turn counts as so many at least */
};

/* Wakes a thread that sleeps in poll. A ring that comes before it sleeps keeps it from sleeping. */
struct bell {
	int fd; /* an eventfd */
	atomic_int state;
};

enum { BELL_AWAKE, BELL_ASLEEP, BELL_RUNG };

struct peer {
	pthread_mutex_t lock; /* conns; taken before the mailbox's own */
	struct conn **conns;  /* [streams]; NULL before they are met */
	atomic_uint asked;    /* bits: connections that somebody wants to be written */
};

struct engine {
	struct mailbox *box;
	const struct net_env *env;
	int streams;
	double look_s;
	struct peer *peers; /* [world] */
	struct bell leader, progress;
	_Atomic(struct pipe_sleeper *) sleeper; /* NULL if this rank shares no memory */
	int shared_bell;			/* set before it */
	struct pollfd *polls;			/* the leader's, if it waits */
	size_t favoured; /* the leader's: bytes since it looked at all peers */
};

static int bell_init(struct bell *bell, struct error *err)
{
	bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return bell->fd < 0 ? error_set(err, "cannot make an eventfd: %s", strerror(errno)) : 0;
}

static void bell_ring(struct bell *bell)
{
	const uint64_t one = 1;

	if (atomic_exchange(&bell->state, BELL_RUNG) == BELL_ASLEEP &&
	    write(bell->fd, &one, sizeof(one)) < 0)
		log_debug("cannot wake a thread: %s", strerror(errno));
}

/* Before poll. False: it was rung. */
static bool bell_sleep(struct bell *bell, struct pollfd *poll)
{
	int awake = BELL_AWAKE;

	*poll = (struct pollfd){ .fd = bell->fd, .events = POLLIN };
	return atomic_compare_exchange_strong(&bell->state, &awake, BELL_ASLEEP);
}

/* After poll, and before a look at what it was rung for. */
static void bell_quiet(struct bell *bell, const struct pollfd *poll)
{
	uint64_t rings;

	if (poll->revents && read(bell->fd, &rings, sizeof(rings)) < 0)
		log_debug("cannot read an eventfd: %s", strerror(errno));
	atomic_store(&bell->state, BELL_AWAKE);
}

/* With the peer's lock. */
static void lose(struct engine *engine, int rank, const struct error *why)
{
	log_debug("rank %d lost rank %d: %s", engine->env->rank, rank, why->text);
	mailbox_lose(engine->box, rank, why->text);
	for (int number = 0; number < engine->streams; number++)
		conn_close(engine->peers[rank].conns[number]);
	bell_ring(&engine->leader); /* who polls the socket keeps it open */
	bell_ring(&engine->progress);
}

/* One connection to the peer has ended: what came through the others before that still counts. With
 * the peer's lock. */
static void drain(struct engine *engine, int rank, int ended)
{
	struct error ignored;

	for (int number = 0; number < engine->streams; number++)
		while (number != ended &&
		       conn_read(engine->peers[rank].conns[number], &ignored) > 0)
			;
}

/* Writes what was asked for, unless somebody else is at it, who will see that it was. */
static void settle(struct engine *engine, int rank)
{
	struct peer *peer = &engine->peers[rank];

	while (atomic_load(&peer->asked) && pthread_mutex_trylock(&peer->lock) == 0) {
		unsigned asked = atomic_exchange(&peer->asked, 0);
		bool blocked = false;
		struct error why;
		int status = 0;

		for (int number = 0; number < engine->streams && status >= 0; number++) {
			struct conn *conn = peer->conns[number];

			if (!(asked & 1U << number) || conn_poll(conn).fd < 0)
				continue;
			if (!conn_wants_write(conn))
				status = conn_write(conn, &why);
			blocked = blocked || conn_wants_write(conn);
		}
		if (status < 0)
			lose(engine, rank, &why);
		pthread_mutex_unlock(&peer->lock);
		if (blocked) {
			bell_ring(&engine->leader);
			bell_ring(&engine->progress);
		}
	}
}

/* One connection, as poll found it. For the leader. False: nothing moved. */
static bool move(struct engine *engine, int rank, int number, short events)
{
	struct peer *peer = &engine->peers[rank];
	int wrote = 0, got = 0;
	bool left = false;
	struct conn *conn;
	struct error why;

	pthread_mutex_lock(&peer->lock);
	conn = peer->conns[number];
	if (conn && conn_poll(conn).fd >= 0) {
		events = conn_events(conn, events);
		if ((events & POLLOUT) && conn_wants_write(conn))
			wrote = conn_write(conn, &why);
		if (wrote >= 0 && ((events & ~POLLOUT) || conn_has_input(conn)))
			got = conn_read(conn, &why);
		if (got < 0)
			drain(engine, rank, number);
		if (wrote < 0 || got < 0)
			lose(engine, rank, &why);
		left = conn_has_input(conn);
	}
	pthread_mutex_unlock(&peer->lock);
	if (left)
		bell_ring(&engine->progress); /* no socket would tell, should this one leave */
	settle(engine, rank);
	return wrote || got;
}

/* Fills a pollfd for the ranks of this host, and for every connection. Whether there is something
 * to do without polling. */
static bool prepare(struct engine *engine, struct pollfd *polls)
{
	bool ready = false;

	*polls++ = (struct pollfd){ .fd = engine->sleeper ? engine->shared_bell : -1,
				    .events = POLLIN };
	for (int rank = 0; rank < engine->env->world; rank++) {
		struct peer *peer = &engine->peers[rank];

		pthread_mutex_lock(&peer->lock);
		for (int number = 0; number < engine->streams; number++, polls++) {
			struct conn *conn = peer->conns[number];

			*polls = conn ? conn_poll(conn) : (struct pollfd){ .fd = -1 };
			if (polls->fd >= 0)
				ready |= conn_before_sleep(conn);
		}
		pthread_mutex_unlock(&peer->lock);
		settle(engine, rank); /* who asked meanwhile has left it to us */
	}
	return ready;
}

/* The same for a thread that is going to sleep; awake must follow. */
static bool prepare_sleep(struct engine *engine, enum pipe_thread thread, struct pollfd *polls)
{
	struct pipe_sleeper *sleeper = engine->sleeper;

	if (sleeper)
		pipe_sleeps(sleeper, thread);
	return prepare(engine, polls);
}

static void awake(struct engine *engine, enum pipe_thread thread)
{
	struct pipe_sleeper *sleeper = engine->sleeper;

	if (sleeper)
		pipe_awake(sleeper, thread);
}

static bool move_all(struct engine *engine, const struct pollfd *polls)
{
	bool moved = false;

	if (polls->fd >= 0 && polls->revents)
		pipe_answer(engine->sleeper, engine->shared_bell);
	polls++;
	for (int rank = 0; rank < engine->env->world; rank++)
		for (int number = 0; number < engine->streams; number++, polls++)
			if (polls->fd >= 0)
				moved |= move(engine, rank, number, polls->revents);
	return moved;
}

/* Looks at all peers, without sleeping. */
static bool look(struct engine *engine)
{
	size_t count = engine_polls(engine);
	bool ready = prepare(engine, engine->polls + 1);

	engine->polls[0].fd = -1;
	engine->favoured = 0;
	if (poll(engine->polls, count, 0) <= 0 && !ready)
		return false;
	return move_all(engine, engine->polls + 1);
}

static void sleep_and_move(struct engine *engine, double until)
{
	struct pollfd *polls = engine->polls;

	if (!bell_sleep(&engine->leader, &polls[0]))
		until = 0;
	if (prepare_sleep(engine, PIPE_LEADER, polls + 1))
		until = 0;
	poll(polls, engine_polls(engine), clock_poll_ms(until));
	bell_quiet(&engine->leader, &polls[0]);
	awake(engine, PIPE_LEADER);
	move_all(engine, polls + 1);
}

static void drive(void *arg, const struct net_request *awaited, double until)
{
	struct engine *engine = arg;
	int rank = awaited->peer, number = NET_STREAM(awaited->tag) % engine->streams;
	double start = clock_now();
	bool moved;

	do {
		moved = move(engine, rank, number, POLLIN | POLLOUT);
		engine->favoured += FAVOUR_TURN;
		if (!moved || engine->favoured >= FAVOUR_BYTES)
			moved |= look(engine);
		if (!moved && engine->look_s > 0)
			sched_yield();
	} while (!moved && clock_now() - start < engine->look_s);
	if (!moved)
		sleep_and_move(engine, until);
	if (mailbox_has_news(engine->box))
		bell_ring(&engine->progress);
	atomic_store(&engine->leader.state, BELL_AWAKE); /* whoever waits looks now */
}

static void ring_leader(void *arg)
{
	struct engine *engine = arg;

	bell_ring(&engine->leader);
}

struct engine *engine_new(struct mailbox *box, const struct net_env *env, int streams,
			  double look_s, struct error *err)
{
	struct engine *engine = xcalloc(1, sizeof(*engine));
	const struct mailbox_engine ours = { drive, ring_leader, engine };

	engine->box = box;
	engine->env = env;
	engine->streams = streams;
	engine->look_s = look_s;
	engine->leader.fd = engine->progress.fd = -1;
	engine->peers = xcalloc((size_t)env->world, sizeof(*engine->peers));
	for (int rank = 0; rank < env->world; rank++) {
		struct peer *peer = &engine->peers[rank];

		pthread_mutex_init(&peer->lock, NULL);
		peer->conns = xcalloc((size_t)streams, sizeof(struct conn *));
	}
	engine->polls = xcalloc(engine_polls(engine), sizeof(struct pollfd));
	if (bell_init(&engine->leader, err) < 0 || bell_init(&engine->progress, err) < 0) {
		engine_free(engine);
		return NULL;
	}
	mailbox_set_engine(box, &ours);
	return engine;
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	for (int rank = 0; rank < engine->env->world; rank++) {
		struct peer *peer = &engine->peers[rank];

		for (int number = 0; number < engine->streams; number++)
			conn_free(peer->conns[number]);
		free(peer->conns);
		pthread_mutex_destroy(&peer->lock);
	}
	file_close(&engine->leader.fd);
	file_close(&engine->progress.fd);
	free(engine->polls);
	free(engine->peers);
	free(engine);
}

void engine_add(struct engine *engine, int rank, int number, const struct stream *stream)
{
	struct peer *peer = &engine->peers[rank];

	pthread_mutex_lock(&peer->lock);
	peer->conns[number] = conn_new(engine->box, rank, number, engine->env->view, stream);
	pthread_mutex_unlock(&peer->lock);
}

void engine_share(struct engine *engine, struct pipe_sleeper *sleeper, int bell)
{
	engine->shared_bell = bell;
	engine->sleeper = sleeper;
}

void engine_use_pipes(struct engine *engine, int rank, const struct pipe_end *in,
		      const struct pipe_end *out)
{
	struct peer *peer = &engine->peers[rank];
	struct conn *conn;
	struct error why;

	pthread_mutex_lock(&peer->lock);
	conn = peer->conns[0];
	if (conn_poll(conn).fd >= 0 && conn_use_pipes(conn, in, out, &why) < 0)
		lose(engine, rank, &why);
	pthread_mutex_unlock(&peer->lock);
	bell_ring(&engine->progress); /* to sleep anew, by the memory */
}

void engine_push(struct engine *engine, int rank, int number)
{
	atomic_fetch_or(&engine->peers[rank].asked, 1U << number % engine->streams);
	settle(engine, rank);
}

size_t engine_polls(const struct engine *engine)
{
	return 2 + (size_t)(engine->env->world * engine->streams);
}

bool engine_watch(struct engine *engine, struct pollfd *polls)
{
	bool rung = !bell_sleep(&engine->progress, &polls[0]);

	return prepare_sleep(engine, PIPE_PROGRESS, polls + 1) || rung;
}

void engine_awake(struct engine *engine, const struct pollfd *polls)
{
	bell_quiet(&engine->progress, &polls[0]);
	awake(engine, PIPE_PROGRESS);
}

void engine_move(struct engine *engine, const struct pollfd *polls)
{
	move_all(engine, polls + 1);
}

void engine_wake(struct engine *engine)
{
	bell_ring(&engine->progress);
}

/* Tells the peer of the end when all is written; one stream must not end before the others have
 * been delivered. With the peer's lock. */
static bool delivered(struct engine *engine, int rank)
{
	struct peer *peer = &engine->peers[rank];
	bool written = true, all = true;

	for (int number = 0; number < engine->streams; number++) {
		struct conn *conn = peer->conns[number];

		if (!conn || conn_poll(conn).fd < 0)
			return true;
		written = written && !conn_wants_write(conn) &&
			  !mailbox_has_sends(engine->box, rank, number);
		all = all && conn_delivered(conn);
	}
	if (!written || (engine->streams > 1 && !all))
		return false;
	for (int number = 0; number < engine->streams; number++)
		conn_end(peer->conns[number]);
	return conn_delivered(peer->conns[0]);
}

bool engine_all_delivered(struct engine *engine)
{
	bool all = true;

	for (int rank = 0; rank < engine->env->world; rank++) {
		pthread_mutex_lock(&engine->peers[rank].lock);
		all = delivered(engine, rank) && all;
		pthread_mutex_unlock(&engine->peers[rank].lock);
	}
	return all;
}

struct net_overhead engine_overhead(struct engine *engine)
{
	struct net_overhead sum = { 0 };

	for (int rank = 0; rank < engine->env->world; rank++) {
		struct peer *peer = &engine->peers[rank];

		pthread_mutex_lock(&peer->lock);
		for (int number = 0; number < engine->streams; number++) {
			struct net_overhead one = { 0 };

			if (peer->conns[number])
				one = conn_overhead(peer->conns[number]);
			sum.header += one.header;
			sum.control += one.control;
		}
		pthread_mutex_unlock(&peer->lock);
	}
	return sum;
}
