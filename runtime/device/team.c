/*
 * The threads of one rank. They look for work for a while, then sleep. Who comes late finds the
 * round closed: the caller waits only for those that are at work, so that no round lasts longer
 * than it would without a thread that the system does not run just now.
 */
#include "runtime/device/team.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/limit.h"
#include "lib/memory.h"

#define LOOK_S 50e-6 /* for as long sleep would cost more than it gives back */

enum { OPEN = 1 << 30, LOOKS = 16, LINE = 64 };

struct member {
	struct team *team;
	size_t number;
	void *workspace; /* owned */
	pthread_t thread;
};

struct team {
	struct member *members;
	size_t threads, workspace_bytes;
	bool crowded;	 /* fewer processors than threads: to look is to keep others from work */
	team_work *work; /* these three are written while nobody is at work and the round closed */
	void *arg;
	size_t chunks;
	_Alignas(LINE) atomic_size_t next; /* chunk */
	_Alignas(LINE) atomic_uint round;  /* grows with each */
	_Alignas(LINE) atomic_int at_work; /* members, and OPEN while more may come */

	_Alignas(LINE) pthread_mutex_t lock;
	pthread_cond_t begin, end;
	atomic_uint asleep;	  /* members; written by lock */
	atomic_bool caller_waits; /* written by lock */
	atomic_bool over;
};

static void pause_briefly(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Whether it is done while it is worth looking; others that want the processor get it. */
static bool look(const struct team *team, bool (*done)(const struct team *, unsigned), unsigned arg)
{
	double until = team->crowded ? 0 : clock_now() + LOOK_S;

	do {
		for (int i = 0; i < LOOKS; i++) {
			if (done(team, arg))
				return true;
			pause_briefly();
		}
		sched_yield();
	} while (clock_now() < until);
	return false;
}

static bool has_begun(const struct team *team, unsigned seen)
{
	return atomic_load(&team->round) != seen || atomic_load(&team->over);
}

static bool has_ended(const struct team *team, unsigned unused)
{
	(void)unused;
	return atomic_load(&team->at_work) == 0;
}

static void wait_begin(struct team *team, unsigned seen)
{
	if (look(team, has_begun, seen))
		return;
	pthread_mutex_lock(&team->lock);
	atomic_fetch_add(&team->asleep, 1);
	while (!has_begun(team, seen))
		pthread_cond_wait(&team->begin, &team->lock);
	atomic_fetch_sub(&team->asleep, 1);
	pthread_mutex_unlock(&team->lock);
}

/* Those who sleep by now are seen here, or see what changed before the call. */
static void wake_members(struct team *team)
{
	if (atomic_load(&team->asleep) == 0)
		return;
	pthread_mutex_lock(&team->lock);
	pthread_cond_broadcast(&team->begin);
	pthread_mutex_unlock(&team->lock);
}

static void wait_end(struct team *team)
{
	if (look(team, has_ended, 0))
		return;
	pthread_mutex_lock(&team->lock);
	atomic_store(&team->caller_waits, true);
	while (!has_ended(team, 0))
		pthread_cond_wait(&team->end, &team->lock);
	atomic_store(&team->caller_waits, false);
	pthread_mutex_unlock(&team->lock);
}

static void take_chunks(struct team *team, size_t member)
{
	size_t chunk;

	while ((chunk = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed)) <
	       team->chunks)
		team->work(team->arg, chunk, member);
}

static void leave(struct team *team)
{
	if (atomic_fetch_sub(&team->at_work, 1) != 1 || !atomic_load(&team->caller_waits))
		return;
	pthread_mutex_lock(&team->lock);
	pthread_cond_signal(&team->end);
	pthread_mutex_unlock(&team->lock);
}

static void *serve(void *arg)
{
	struct member *self = arg;
	struct team *team = self->team;
	unsigned seen = 0;

	for (;;) {
		wait_begin(team, seen);
		if (atomic_load(&team->over))
			return NULL;
		seen = atomic_load(&team->round);
		if (atomic_fetch_add(&team->at_work, 1) & OPEN)
			take_chunks(team, self->number);
		leave(team);
	}
}

size_t team_size(size_t wanted, size_t ranks)
{
	size_t share = limit_processors() / ranks;

	return wanted ? wanted : share ? share : 1;
}

struct team *team_new(size_t threads)
{
	struct team *team = xaligned(sizeof(*team));

	assert(threads > 0);
	team->members = xcalloc(threads, sizeof(*team->members));
	pthread_mutex_init(&team->lock, NULL);
	pthread_cond_init(&team->begin, NULL);
	pthread_cond_init(&team->end, NULL);
	team->crowded = threads > limit_processors();
	team->threads = 1;
	for (size_t i = 0; i < threads; i++) {
		struct member *member = &team->members[i];

		*member = (struct member){ .team = team, .number = i };
		if (i > 0 && pthread_create(&member->thread, NULL, serve, member) != 0)
			break; /* fewer do the same work */
		team->threads = i + 1;
	}
	return team;
}

size_t team_threads(const struct team *team)
{
	return team ? team->threads : 1;
}

void team_run(struct team *team, size_t chunks, team_work *work, void *arg)
{
	if (!team || team->threads == 1 || chunks <= 1) {
		for (size_t i = 0; i < chunks; i++)
			work(arg, i, 0);
		return;
	}
	team->work = work;
	team->arg = arg;
	team->chunks = chunks;
	atomic_store(&team->next, 0);
	atomic_fetch_or(&team->at_work, OPEN);
	atomic_fetch_add(&team->round, 1);
	wake_members(team);
	take_chunks(team, 0);
	atomic_fetch_and(&team->at_work, ~OPEN);
	wait_end(team);
}

void team_reserve(struct team *team, size_t bytes)
{
	if (bytes <= team->workspace_bytes)
		return;
	for (size_t i = 0; i < team->threads; i++) {
		free(team->members[i].workspace);
		team->members[i].workspace = xaligned(bytes);
	}
	team->workspace_bytes = bytes;
}

void *team_workspace(struct team *team, size_t member)
{
	return team->members[member].workspace;
}

void team_free(struct team *team)
{
	if (!team)
		return;
	atomic_store(&team->over, true);
	wake_members(team);
	for (size_t i = 0; i < team->threads; i++) {
		if (i > 0)
			pthread_join(team->members[i].thread, NULL);
		free(team->members[i].workspace);
	}
	pthread_cond_destroy(&team->begin);
	pthread_cond_destroy(&team->end);
	pthread_mutex_destroy(&team->lock);
	free(team->members);
	free(team);
}
