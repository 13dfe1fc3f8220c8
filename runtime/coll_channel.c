/*
 * A group's place in the memory that its members share. Steps are counted for each pair of ranks,
 * by the one for the other, so that a channel may serve one group after another: ranks agree on
 * what they did together, whatever each did with others in between.
 */
#define _GNU_SOURCE /* syscall */
#include "runtime/coll_channel.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/error.h"
#include "lib/units.h"
#include "runtime/coll.h"

/* How long to look before sleeping: a wake-up costs about as much as the yields. Nobody spins on a
 * processor that others need, and who yields it for longer has had his share when it counts. */
enum { SPINS = 20 };
static const double YIELD_S = 40e-6, NAP_S = 2e-3;

/* Bytes of a place that each group has. */
enum {
	FIRST = 576 << 10, /* so that rounds of the world's vectors fill half of a usual L2 cache */
	OTHERS = (NET_PLACE_BYTES - FIRST) / (COLL_CHANNELS - 1) & ~4095
};

enum { LINE = 128 }; /* bytes that processors fetch together */

/* What a rank tells the others of a channel. Only its owner writes it, sleepers apart. */
struct board {
	/* For each place: twice the steps made with it, and the half written last. */
	alignas(LINE) _Atomic uint32_t steps[COLL_CHANNEL_PLACES];
	alignas(LINE) _Atomic uint32_t closed[COLL_CHANNEL_PLACES]; /* twice the steps, too */
	alignas(LINE) _Atomic uint32_t bell; /* changes with every advance: what others sleep on */
	_Atomic uint32_t sleepers;
	alignas(LINE) uint32_t half; /* from here on, what the owner keeps for itself */
	int count;		     /* of `ranks`: the group that was served last */
	int ranks[COLL_CHANNEL_PLACES];
};

_Static_assert(sizeof(struct board) <= COLL_CHANNEL_BOARD, "the board has its room");

static int place_of(const struct coll_channel *channel, int member)
{
	return channel->shared->places[channel->group->ranks[member]];
}

static unsigned char *room(const struct coll_channel *channel, int place)
{
	unsigned char *bytes = channel->shared->bytes + (size_t)place * NET_PLACE_BYTES;
	size_t id = channel->group->id;

	return id == 0 ? bytes : bytes + FIRST + (id - 1) * OTHERS;
}

static struct board *board_at(const struct coll_channel *channel, int place)
{
	return (struct board *)(void *)room(channel, place);
}

static int my_place(const struct coll_channel *channel)
{
	return place_of(channel, channel->group->index);
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
		  const struct timespec *time)
{
	return syscall(SYS_futex, word, operation, value, time, NULL, 0);
}

/* What to wait for: words of some members reach some number. */
struct awaited {
	const struct coll_channel *channel;
	const int *ranks;
	int first, count, modulus;
	bool closed; /* which word */
	uint32_t steps;
};

static int rank_of(const struct awaited *awaited, int i)
{
	return awaited->ranks[(awaited->first + i) % awaited->modulus];
}

/* How many steps are missing; 0 or less: none. */
static int32_t missing(const struct awaited *awaited, int i)
{
	const struct coll_channel *channel = awaited->channel;
	int mine = my_place(channel), place = channel->shared->places[rank_of(awaited, i)];
	struct board *board = board_at(channel, place);
	uint32_t word;

	if (place == mine)
		return 0;
	word = atomic_load(awaited->closed ? &board->closed[mine] : &board->steps[mine]);
	return (int32_t)(2 * (channel->start[place] + awaited->steps) - (word & ~1u)) / 2;
}

/* The first that has not come, or -1. */
static int absent(const struct awaited *awaited)
{
	for (int i = 0; i < awaited->count; i++)
		if (missing(awaited, i) > 0)
			return i;
	return -1;
}

static int is_late(const struct awaited *awaited, double waited, struct error *err)
{
	struct net *net = awaited->channel->net;
	int last = 0;
	char seconds[32];

	for (int i = 1; i < awaited->count; i++)
		if (missing(awaited, i) > missing(awaited, last))
			last = i;
	units_show_seconds(seconds, sizeof(seconds), waited);
	return error_set(err, "nothing from rank %d (%s) within %s", rank_of(awaited, last),
			 net_host(net, rank_of(awaited, last)), seconds);
}

/* -1 once somebody who has not come is lost. */
static int check(const struct awaited *awaited, struct error *err)
{
	for (int i = 0; i < awaited->count; i++)
		if (missing(awaited, i) > 0 &&
		    net_check(awaited->channel->net, rank_of(awaited, i), err) < 0)
			return missing(awaited, i) > 0 ? -1 : 0;
	return 0;
}

static void nap(const struct awaited *awaited, int i)
{
	const struct timespec time = { .tv_nsec = (long)(NAP_S * 1e9) };
	const struct coll_channel *channel = awaited->channel;
	struct board *board = board_at(channel, channel->shared->places[rank_of(awaited, i)]);
	uint32_t bell;

	atomic_fetch_add(&board->sleepers, 1);
	bell = atomic_load(&board->bell);
	if (missing(awaited, i) > 0)
		futex(&board->bell, FUTEX_WAIT, bell, &time);
	atomic_fetch_sub(&board->sleepers, 1);
}

static int sleep_until(const struct awaited *awaited, double begin, struct error *err)
{
	double timeout = net_timeout(awaited->channel->net);
	int i;

	while ((i = absent(awaited)) >= 0) {
		nap(awaited, i);
		if (check(awaited, err) < 0)
			return -1;
		if (clock_now() - begin > timeout && absent(awaited) >= 0)
			return is_late(awaited, timeout, err);
	}
	return 0;
}

static void pause_briefly(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#endif
}

static int wait_until(const struct awaited *awaited, struct error *err)
{
	bool crowded = awaited->channel->crowded;
	double begin;

	if (crowded && awaited->count > 1)
		sched_yield();
	for (int i = 0; i < (crowded ? 1 : SPINS); i++) {
		if (absent(awaited) < 0)
			return 0;
		pause_briefly();
	}
	begin = clock_now();
	while (clock_now() - begin < YIELD_S) {
		sched_yield();
		if (absent(awaited) < 0)
			return 0;
	}
	return sleep_until(awaited, begin, err);
}

static struct awaited members(const struct coll_channel *channel, int first, int count)
{
	return (struct awaited){ .channel = channel,
				 .ranks = channel->group->ranks,
				 .first = first,
				 .count = count,
				 .modulus = channel->group->count };
}

bool coll_channel_serves(const struct net *net, const struct group *group)
{
	const struct net_shared *shared = net_shared(net);

	if (!shared || shared->count > COLL_CHANNEL_PLACES || group->id >= COLL_CHANNELS)
		return false;
	for (int i = 0; i < group->count; i++)
		if (shared->places[group->ranks[i]] < 0)
			return false;
	return true;
}

/* What the members of another group may still read must not be written yet. */
static int change_group(struct coll_channel *channel, struct board *board, struct error *err)
{
	const struct group *group = channel->group;
	struct awaited before = { .channel = channel,
				  .ranks = board->ranks,
				  .count = board->count,
				  .modulus = board->count,
				  .closed = true };

	if (board->count && wait_until(&before, err) < 0)
		return -1;
	board->count = group->count;
	memcpy(board->ranks, group->ranks, (size_t)group->count * sizeof(board->ranks[0]));
	return 0;
}

static bool is_crowded(int ranks)
{
	cpu_set_t processors;

	return sched_getaffinity(0, sizeof(processors), &processors) == 0 &&
	       CPU_COUNT(&processors) < ranks;
}

int coll_channel_open(struct coll_channel *channel, struct net *net, const struct group *group,
		      struct error *err)
{
	struct board *board;

	channel->net = net;
	channel->group = group;
	channel->shared = net_shared(net);
	channel->crowded = is_crowded(channel->shared->count);
	board = board_at(channel, my_place(channel));
	for (int place = 0; place < channel->shared->count; place++)
		channel->start[place] =
			atomic_load_explicit(&board->steps[place], memory_order_relaxed) / 2;
	channel->half = board->half ^= 1;
	if (board->count == group->count &&
	    memcmp(board->ranks, group->ranks, (size_t)group->count * sizeof(int)) == 0)
		return 0;
	return change_group(channel, board, err);
}

/* Who reads the bell's new value, or comes too late to be seen among the sleepers, sees the words.
 */
static void ring(struct board *board)
{
	atomic_fetch_add(&board->bell, 1);
	if (atomic_load(&board->sleepers))
		futex(&board->bell, FUTEX_WAKE, INT32_MAX, NULL);
}

void coll_channel_advance(struct coll_channel *channel, uint32_t steps)
{
	int mine = my_place(channel);
	struct board *board = board_at(channel, mine);

	for (int i = 0; i < channel->group->count; i++) {
		int place = place_of(channel, i);
		uint32_t word = 2 * (channel->start[place] + steps) | channel->half;

		if (place != mine)
			atomic_store_explicit(&board->steps[place], word, memory_order_release);
	}
	ring(board);
}

void coll_channel_close(struct coll_channel *channel, uint32_t steps)
{
	int mine = my_place(channel);
	struct board *board = board_at(channel, mine);

	for (int i = 0; i < channel->group->count; i++) {
		int place = place_of(channel, i);
		uint32_t word = 2 * (channel->start[place] + steps);

		if (place != mine)
			atomic_store_explicit(&board->closed[place], word, memory_order_release);
	}
	ring(board);
}

unsigned char *coll_channel_bytes(const struct coll_channel *channel, int member)
{
	return room(channel, place_of(channel, member)) + COLL_CHANNEL_BOARD;
}

size_t coll_channel_room(const struct coll_channel *channel)
{
	return (channel->group->id == 0 ? FIRST : OTHERS) - COLL_CHANNEL_BOARD;
}

int coll_channel_wait(struct coll_channel *channel, int first, int count, uint32_t steps,
		      struct error *err)
{
	struct awaited awaited = members(channel, first, count);

	awaited.steps = steps;
	return wait_until(&awaited, err);
}

int coll_channel_settle(struct coll_channel *channel, struct error *err)
{
	struct awaited awaited = members(channel, 0, channel->group->count);

	awaited.closed = true;
	return wait_until(&awaited, err);
}

unsigned coll_channel_half(const struct coll_channel *channel)
{
	return channel->half;
}

/* A member may be in the next collective by now, which uses the other half, but no further. */
unsigned coll_channel_half_of(const struct coll_channel *channel, int member)
{
	int place = place_of(channel, member);
	uint32_t word = atomic_load(&board_at(channel, place)->steps[my_place(channel)]);

	return (word & 1) ^ (word / 2 != (channel->start[place] + 1) % (UINT32_MAX / 2 + 1));
}
