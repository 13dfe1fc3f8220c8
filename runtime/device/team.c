/* The threads of one rank. */
#include "runtime/device/team.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/memory.h"

struct member {
	struct team *team;
	size_t number;
	void *workspace; /* owned */
	pthread_t thread;
};

struct team {
	struct member *members;
	size_t threads, workspace_bytes;
	team_work *work; /* these three are written before `round` grows */
	void *arg;
	size_t chunks;
	atomic_size_t next; /* chunk */
	pthread_mutex_t lock;
	pthread_cond_t begin, end;
	size_t round;	/* by lock: grows with each call */
	size_t working; /* by lock: members that have not yet ended this round */
	bool over;	/* by lock */
};

static void take_chunks(struct team *team, size_t member)
{
	size_t chunk;

	while ((chunk = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed)) <
	       team->chunks)
		team->work(team->arg, chunk, member);
}

static void *serve(void *arg)
{
	struct member *self = arg;
	struct team *team = self->team;
	size_t round = 0;

	pthread_mutex_lock(&team->lock);
	for (;;) {
		while (team->round == round && !team->over)
			pthread_cond_wait(&team->begin, &team->lock);
		if (team->over)
			break;
		round = team->round;
		pthread_mutex_unlock(&team->lock);
		take_chunks(team, self->number);
		pthread_mutex_lock(&team->lock);
		if (--team->working == 0)
			pthread_cond_signal(&team->end);
	}
	pthread_mutex_unlock(&team->lock);
	return NULL;
}

struct team *team_new(size_t threads)
{
	struct team *team = xcalloc(1, sizeof(*team));

	assert(threads > 0);
	team->members = xcalloc(threads, sizeof(*team->members));
	pthread_mutex_init(&team->lock, NULL);
	pthread_cond_init(&team->begin, NULL);
	pthread_cond_init(&team->end, NULL);
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
	pthread_mutex_lock(&team->lock);
	team->round++;
	team->working = team->threads - 1;
	pthread_cond_broadcast(&team->begin);
	pthread_mutex_unlock(&team->lock);
	take_chunks(team, 0);
	pthread_mutex_lock(&team->lock);
	while (team->working > 0)
		pthread_cond_wait(&team->end, &team->lock);
	pthread_mutex_unlock(&team->lock);
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
	pthread_mutex_lock(&team->lock);
	team->over = true;
	pthread_cond_broadcast(&team->begin);
	pthread_mutex_unlock(&team->lock);
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
