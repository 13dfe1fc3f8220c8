/* Ranks that go at their own pace, and where they meet. */
#include "runtime/sync/pace.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/transport/transport.h"

enum { TELLINGS = 200 }; /* of how far all are, in a run */
#define GLANCE_S 0.05	 /* between two looks at what wakes nobody: lost peers, a wish to stop */

/* Messages, by their tag. */
enum { STEP, PROGRESS, CUT };

struct pace {
	struct net *net;
	const struct group *world;
	struct sync_budget budget;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	uint64_t wakes;
	uint64_t told, served; /* messages of the strategy, since the last cut */
	uint64_t steps;	       /* rank 0: of all ranks, here */
	size_t progress, announced;
	size_t last; /* rank 0: the last cut's completed steps */
	bool called; /* a cut is due: */
	struct sync_cut cut;
};

struct pace *pace_new(struct net *net, const struct group *world, const struct sync_budget *budget)
{
	struct pace *pace = xcalloc(1, sizeof(*pace));

	pace->net = net;
	pace->world = world;
	pace->budget = *budget;
	pace->progress = pace->announced = pace->last = budget->first;
	pthread_mutex_init(&pace->lock, NULL);
	clock_cond_init(&pace->changed);
	return pace;
}

void pace_free(struct pace *pace)
{
	if (!pace)
		return;
	pthread_cond_destroy(&pace->changed);
	pthread_mutex_destroy(&pace->lock);
	free(pace);
}

void pace_wake(struct pace *pace)
{
	pthread_mutex_lock(&pace->lock);
	pace->wakes++;
	pthread_cond_broadcast(&pace->changed);
	pthread_mutex_unlock(&pace->lock);
}

void pace_told(struct pace *pace)
{
	pthread_mutex_lock(&pace->lock);
	pace->told++;
	pthread_mutex_unlock(&pace->lock);
}

void pace_served(struct pace *pace)
{
	pthread_mutex_lock(&pace->lock);
	pace->served++;
	pace->wakes++;
	pthread_cond_broadcast(&pace->changed);
	pthread_mutex_unlock(&pace->lock);
}

/* Everybody but this rank. A peer that is lost is found out by who waits for it. */
static void tell_all(struct pace *pace, uint64_t kind, struct buf *message)
{
	struct error ignored;

	for (int i = 0; i < net_world(pace->net); i++)
		if (i != net_rank(pace->net))
			net_tell(pace->net, i, NET_TAG_UNSOLICITED | SYNC_TAG_END | kind,
				 message->data, message->length, &ignored);
	buf_release(message);
}

/* The first multiple of `every` after `done` and up to `now`; 0: none. */
static size_t passed(size_t every, size_t done, size_t now)
{
	size_t next = every ? (done / every + 1) * every : 0;

	return next <= now ? next : 0;
}

/* Rank 0, locked: whether what is done so far calls for a cut. */
static bool is_due(struct pace *pace)
{
	const struct sync_budget *budget = &pace->budget;
	size_t done = pace->progress, eval, save;
	enum sync_stop stop;

	if (pace->called)
		return false;
	if (done >= budget->steps) {
		pace->cut = (struct sync_cut){ budget->steps, true, true, true };
		return true;
	}
	stop = budget->stop ? budget->stop(budget->arg) : SYNC_GO_ON;
	if (stop != SYNC_GO_ON) {
		pace->cut = (struct sync_cut){ done, stop == SYNC_END, done > pace->last, true };
		return true;
	}
	eval = passed(budget->eval_every, pace->last, done);
	save = passed(budget->checkpoint_every, pace->last, done);
	if (!eval && !save)
		return false;
	pace->cut.completed = eval && save ? (eval < save ? eval : save) : eval + save;
	pace->cut.evaluate = eval == pace->cut.completed;
	pace->cut.save = save == pace->cut.completed;
	pace->cut.stop = false;
	return true;
}

/* Rank 0, locked. */
static void look(struct pace *pace)
{
	size_t step = pace->budget.steps / TELLINGS + 1;
	struct buf message = { 0 };

	pace->progress = pace->budget.first + pace->steps / (uint64_t)pace->world->count;
	if (pace->progress >= pace->announced + step) {
		pace->announced = pace->progress;
		wire_put_u64(&message, pace->progress);
		tell_all(pace, PROGRESS, &message);
	}
	if (!is_due(pace))
		return;
	pace->called = true;
	pace->last = pace->cut.completed;
	wire_put_u64(&message, pace->cut.completed);
	wire_put_u8(&message, pace->cut.evaluate);
	wire_put_u8(&message, pace->cut.save);
	wire_put_u8(&message, pace->cut.stop);
	tell_all(pace, CUT, &message);
	pthread_cond_broadcast(&pace->changed);
}

static void count_step(struct pace *pace)
{
	pthread_mutex_lock(&pace->lock);
	pace->steps++;
	look(pace);
	pthread_mutex_unlock(&pace->lock);
}

int pace_step(struct pace *pace, struct error *err)
{
	if (net_rank(pace->net) != 0)
		return net_tell(pace->net, 0, NET_TAG_UNSOLICITED | SYNC_TAG_END | STEP, NULL, 0,
				err);
	count_step(pace);
	return 0;
}

void pace_serve(struct pace *pace, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct wire message = wire_reader(bytes, length);
	uint64_t kind = tag - SYNC_TAG_END, completed;
	bool from_first = peer == 0 && net_rank(pace->net) != 0;

	if (kind == STEP && net_rank(pace->net) == 0)
		count_step(pace);
	if (!from_first || kind == STEP)
		return;
	completed = wire_get_u64(&message);
	pthread_mutex_lock(&pace->lock);
	if (kind == PROGRESS && !message.failed)
		pace->progress = completed;
	if (kind == CUT) {
		pace->cut =
			(struct sync_cut){ completed, wire_get_u8(&message) != 0,
					   wire_get_u8(&message) != 0, wire_get_u8(&message) != 0 };
		pace->called = !message.failed;
		pthread_cond_broadcast(&pace->changed);
	}
	pthread_mutex_unlock(&pace->lock);
}

uint64_t pace_wakes(struct pace *pace, bool *cut)
{
	uint64_t wakes;

	pthread_mutex_lock(&pace->lock);
	if (net_rank(pace->net) == 0)
		look(pace);
	*cut = pace->called;
	wakes = pace->wakes;
	pthread_mutex_unlock(&pace->lock);
	return wakes;
}

int pace_wait(struct pace *pace, uint64_t wakes, struct error *err)
{
	pthread_mutex_lock(&pace->lock);
	while (pace->wakes == wakes && !pace->called) {
		struct timespec until = clock_timespec(clock_now() + GLANCE_S);

		if (pthread_cond_timedwait(&pace->changed, &pace->lock, &until) == 0)
			continue;
		if (net_check_all(pace->net, err) < 0) {
			pthread_mutex_unlock(&pace->lock);
			return -1;
		}
		if (net_rank(pace->net) == 0)
			look(pace);
	}
	pthread_mutex_unlock(&pace->lock);
	return 0;
}

/* Exact in floats, which is what collectives add up. */
enum { LOW = 1 << 12 };

static int sum_counts(struct pace *pace, uint64_t *told, uint64_t *served, struct error *err)
{
	float sums[4];

	pthread_mutex_lock(&pace->lock);
	sums[0] = (float)(pace->told % LOW);
	sums[1] = (float)(pace->told / LOW);
	sums[2] = (float)(pace->served % LOW);
	sums[3] = (float)(pace->served / LOW);
	pthread_mutex_unlock(&pace->lock);
	if (coll_allreduce(pace->net, pace->world, COLL_AUTO, sums, 4, err) < 0)
		return -1;
	*told = (uint64_t)sums[0] + LOW * (uint64_t)sums[1];
	*served = (uint64_t)sums[2] + LOW * (uint64_t)sums[3];
	return 0;
}

/*
 * Two counts of all ranks, one after the other, in which as many messages were served as were told,
 * and as many in both: then nothing was under way between them, and all ranks, which tell nothing
 * but in answer, are silent. After Mattern, "Algorithms for distributed termination detection",
 * Distributed Computing 2, 1987: the four counter method.
 */
int pace_settle(struct pace *pace, struct error *err)
{
	uint64_t told = 0, served = 1, before = UINT64_MAX;

	while (told != served || told != before) {
		before = told == served ? told : UINT64_MAX;
		if (sum_counts(pace, &told, &served, err) < 0)
			return -1;
	}
	return 0;
}

struct sync_cut pace_begin_cut(struct pace *pace)
{
	struct sync_cut cut;

	pthread_mutex_lock(&pace->lock);
	cut = pace->cut;
	if (net_rank(pace->net) != 0)
		pace->called = false;
	pthread_mutex_unlock(&pace->lock);
	return cut;
}

void pace_end_cut(struct pace *pace)
{
	pthread_mutex_lock(&pace->lock);
	if (net_rank(pace->net) == 0)
		pace->called = false;
	pthread_mutex_unlock(&pace->lock);
}

size_t pace_progress(struct pace *pace)
{
	size_t progress;

	pthread_mutex_lock(&pace->lock);
	progress = pace->progress;
	pthread_mutex_unlock(&pace->lock);
	return progress;
}
