/*
 * Collectives of ranks that share memory. A short vector is given away whole: one step, and every
 * rank adds all of them up. A long one goes through in rounds of one piece of every slice, small
 * enough to stay in the cache: each rank gives the others their pieces, adds up its own, takes
 * theirs. Sums have the order of the ring (runtime/coll.h).
 */
#include "runtime/coll_shared.h"

#include <stdbool.h>
#include <string.h>

#include "lib/error.h"
#include "runtime/coll.h"
#include "runtime/coll_channel.h"
#include "runtime/device/cpu.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

enum {
	SMALL = 16 << 10,  /* bytes of a vector that is given away whole, twice */
	ROUND = 112 << 10, /* bytes of a round of many: they stay in the cache */
	PIECE = 32 << 10,  /* and of a slice in it at least: rounds cost more than bytes */
	LINES = 128,	   /* bytes: two cache lines, so that nobody writes to another's */
	ALIGN = LINES / sizeof(float)
};

/* A collective under way. */
struct sharing {
	struct coll_channel channel;
	const struct group *group;
	float *x;
	size_t count;
	size_t room, piece; /* floats: of a buffer for a slice; of a slice in a round */
	bool adds, takes;
};

/* Bytes of a round, of which there are two. */
static size_t buffer_size(const struct sharing *s)
{
	return (coll_channel_room(&s->channel) - 2 * SMALL) / 2 / LINES * LINES;
}

/* What a member gives in a round. */
static unsigned char *buffer_of(const struct sharing *s, int member, size_t round)
{
	return coll_channel_bytes(&s->channel, member) + 2 * SMALL + round % 2 * buffer_size(s);
}

static unsigned char *small_bytes(const struct sharing *s, int member, unsigned half)
{
	return coll_channel_bytes(&s->channel, member) + half * SMALL;
}

/* What a member gives for slice `slice` in a round; for its own slice: the sum. The place depends
 * on the group alone: see go_round. */
static float *given(const struct sharing *s, int member, size_t round, int slice)
{
	return (float *)(void *)buffer_of(s, member, round) + (size_t)slice * s->room;
}

/* The part of a slice that has its turn in a round. */
static float *piece_of(const struct sharing *s, size_t round, int slice, size_t *length)
{
	size_t whole, start = slice_start(s->count, (size_t)s->group->count, (size_t)slice, &whole);
	size_t skip = round * s->piece < whole ? round * s->piece : whole;

	*length = whole - skip < s->piece ? whole - skip : s->piece;
	return s->x + start + skip;
}

/* Addends of a slice are in the ring's order: from the rank after its owner round to the owner. */
static int addend(const struct sharing *s, int slice, int i)
{
	return (slice + 1 + i) % s->group->count;
}

static void give(struct sharing *s, size_t round)
{
	int n = s->group->count, mine = s->group->index;

	for (int i = 1; i < n && s->adds; i++) {
		int slice = (mine + i) % n;
		size_t length;
		const float *x = piece_of(s, round, slice, &length);

		memcpy(given(s, mine, round, slice), x, length * sizeof(*x));
	}
}

static void sum_own(struct sharing *s, size_t round)
{
	int n = s->group->count, mine = s->group->index;
	const float *addends[COLL_CHANNEL_PLACES];
	size_t length;
	float *x = piece_of(s, round, mine, &length);

	for (int i = 0; i < n; i++)
		addends[i] = given(s, addend(s, mine, i), round, mine);
	addends[n - 1] = x;
	if (s->adds)
		cpu_sum(x, addends, (size_t)n, length);
	if (s->takes)
		memcpy(given(s, mine, round, mine), x, length * sizeof(*x));
}

static int take(struct sharing *s, size_t round, struct error *err)
{
	int n = s->group->count;

	for (int i = 1; i < n; i++) {
		int slice = (s->group->index + i) % n;
		size_t length;
		float *x = piece_of(s, round, slice, &length);

		if (coll_channel_wait(&s->channel, slice, 1, (uint32_t)(2 * round + 4), err) < 0)
			return -1;
		if (s->takes)
			memcpy(x, given(s, slice, round, slice), length * sizeof(*x));
	}
	return 0;
}

/* Floats of a slice in a round: all that there is room for, unless rounds are many. */
static size_t piece_limit(const struct sharing *s, size_t longest)
{
	size_t bytes = ROUND / (size_t)s->group->count;

	bytes = bytes > PIECE ? bytes : PIECE;
	if (longest <= 2 * s->room || bytes / sizeof(float) >= s->room)
		return s->room;
	return bytes / sizeof(float);
}

/*
 * Every rank is in up to three rounds at once, so that it seldom waits: it takes sums of round
 * t - 2, gives for t, adds up t - 1. The buffer that it gives t in held t - 2: the others have
 * added that up, since their sums are there. The buffer that its sum of t - 1 goes to held that of
 * t - 3: the others have taken that, since they have given t - 1, their step 2 (t - 1) + 1.
 */
static int go_round(struct sharing *s, struct error *err)
{
	size_t longest, limit, rounds;

	slice_start(s->count, (size_t)s->group->count, 0, &longest);
	s->room = buffer_size(s) / sizeof(float) / (size_t)s->group->count / ALIGN * ALIGN;
	limit = piece_limit(s, longest);
	rounds = (longest + limit - 1) / limit;
	s->piece = (longest + rounds - 1) / rounds;
	for (size_t t = 0; t < rounds + 2; t++) {
		if (t >= 2 && take(s, t - 2, err) < 0)
			return -1;
		if (t < rounds) {
			give(s, t);
			coll_channel_advance(&s->channel, (uint32_t)(2 * t + 1));
		}
		if (t == 0 || t > rounds)
			continue;
		if (coll_channel_wait(&s->channel, 0, s->group->count, (uint32_t)(2 * t - 1), err) <
		    0)
			return -1;
		sum_own(s, t - 1);
		coll_channel_advance(&s->channel, (uint32_t)(2 * t + 2));
	}
	coll_channel_close(&s->channel, (uint32_t)(2 * rounds + 2));
	return 0;
}

/* Makes the one step of a small collective, in which this rank gives `bytes`. */
static int step(struct sharing *s, const void *bytes, size_t length, struct error *err)
{
	struct coll_channel *channel = &s->channel;

	if (length)
		memcpy(small_bytes(s, s->group->index, coll_channel_half(channel)), bytes, length);
	coll_channel_advance(channel, 1);
	return coll_channel_wait(channel, 0, s->group->count, 1, err);
}

static const float *small_of(const struct sharing *s, int member)
{
	return (const float *)(const void *)small_bytes(s, member,
							coll_channel_half_of(&s->channel, member));
}

/* All slices, or only this rank's. */
static int sum_small(struct sharing *s, struct error *err)
{
	int n = s->group->count, mine = s->group->index;
	const float *all[COLL_CHANNEL_PLACES], *addends[COLL_CHANNEL_PLACES];

	if (step(s, s->x, s->count * sizeof(float), err) < 0)
		return -1;
	for (int i = 0; i < n; i++)
		all[i] = i == mine ? s->x : small_of(s, i);
	for (int slice = s->takes ? 0 : mine; slice < (s->takes ? n : mine + 1); slice++) {
		size_t length, start = slice_start(s->count, (size_t)n, (size_t)slice, &length);

		for (int i = 0; i < n; i++)
			addends[i] = all[addend(s, slice, i)] + start;
		cpu_sum(s->x + start, addends, (size_t)n, length);
	}
	coll_channel_close(&s->channel, 1);
	return 0;
}

static int gather_small(struct sharing *s, struct error *err)
{
	int n = s->group->count, mine = s->group->index;
	size_t length, start = slice_start(s->count, (size_t)n, (size_t)mine, &length);

	if (step(s, s->x + start, length * sizeof(float), err) < 0)
		return -1;
	for (int i = 1; i < n; i++) {
		int slice = (mine + i) % n;

		start = slice_start(s->count, (size_t)n, (size_t)slice, &length);
		memcpy(s->x + start, small_of(s, slice), length * sizeof(float));
	}
	coll_channel_close(&s->channel, 1);
	return 0;
}

/* A collective begins: not if the one whom it waits for first is lost. */
static int begin(struct sharing *s, struct net *net, const struct group *group, int peer,
		 struct error *err)
{
	s->group = group;
	if (net_check(net, group->ranks[peer], err) < 0)
		return -1;
	return coll_channel_open(&s->channel, net, group, err);
}

static int next_to(const struct group *group)
{
	return (group->index + 1) % group->count;
}

static int end(struct net *net, int status, struct error *err)
{
	if (status < 0)
		net_abort(net, err->text);
	return status;
}

/* As if each rank that reads something had been sent it: what is sent is received. */
static int count_bytes(struct net *net, const struct sharing *s, struct error *err)
{
	size_t own, all = s->count * sizeof(float), others = (size_t)s->group->count - 1;
	size_t given, taken;

	slice_start(s->count, (size_t)s->group->count, (size_t)s->group->index, &own);
	own *= sizeof(float);
	given = s->adds ? all - own : 0;
	taken = s->takes ? all - own : 0;
	if (s->adds && s->takes && coll_shared_is_flat(s->count))
		return net_shared_use(net, others * all, others * all, err);
	return net_shared_use(net, given + (s->takes ? others * own : 0),
			      taken + (s->adds ? others * own : 0), err);
}

static int on_floats(struct net *net, struct sharing *s, struct error *err)
{
	size_t slice = s->count / (size_t)s->group->count + 1;
	bool small = s->adds ? coll_shared_is_flat(s->count) : slice * sizeof(float) <= SMALL;
	int status = count_bytes(net, s, err);

	if (status == 0)
		status = begin(s, net, s->group, next_to(s->group), err);
	if (status == 0)
		status = !small	   ? go_round(s, err)
			 : s->adds ? sum_small(s, err)
				   : gather_small(s, err);
	return end(net, status, err);
}

bool coll_shared_is_flat(size_t count)
{
	return count * sizeof(float) <= SMALL;
}

int coll_shared_allreduce(struct net *net, const struct group *group, float *x, size_t count,
			  struct error *err)
{
	struct sharing sharing = {
		.group = group, .x = x, .count = count, .adds = true, .takes = true
	};

	return on_floats(net, &sharing, err);
}

int coll_shared_reduce_scatter(struct net *net, const struct group *group, float *x, size_t count,
			       struct error *err)
{
	struct sharing sharing = { .group = group, .x = x, .count = count, .adds = true };

	return on_floats(net, &sharing, err);
}

int coll_shared_allgather(struct net *net, const struct group *group, float *x, size_t count,
			  struct error *err)
{
	struct sharing sharing = { .group = group, .x = x, .count = count, .takes = true };

	return on_floats(net, &sharing, err);
}

/* Buffers in turn: the root writes one when all have read what was in it before. */
static int pour(struct sharing *s, int root, unsigned char *bytes, size_t length, struct error *err)
{
	struct coll_channel *channel = &s->channel;
	bool roots = s->group->index == root;
	size_t most = buffer_size(s);
	uint32_t round = 0;

	if (roots && coll_channel_settle(channel, err) < 0)
		return -1;
	for (size_t start = 0, part; start < length; start += part, round++) {
		unsigned char *buffer = buffer_of(s, root, round);

		part = length - start < most ? length - start : most;
		if (roots && round >= 2 &&
		    coll_channel_wait(channel, 0, s->group->count, round - 1, err) < 0)
			return -1;
		if (!roots && coll_channel_wait(channel, root, 1, round + 1, err) < 0)
			return -1;
		memcpy(roots ? buffer : bytes + start, roots ? bytes + start : buffer, part);
		coll_channel_advance(channel, round + 1);
	}
	if (roots && coll_channel_wait(channel, 0, s->group->count, round, err) < 0)
		return -1;
	coll_channel_close(channel, round);
	return 0;
}

int coll_shared_broadcast(struct net *net, const struct group *group, int root_index, void *bytes,
			  size_t length, struct error *err)
{
	bool roots = group->index == root_index;
	int peer = roots ? next_to(group) : root_index;
	size_t others = (size_t)group->count - 1;
	struct sharing sharing;

	if (net_shared_use(net, roots ? others * length : 0, roots ? 0 : length, err) < 0 ||
	    begin(&sharing, net, group, peer, err) < 0)
		return end(net, -1, err);
	return end(net, pour(&sharing, root_index, bytes, length, err), err);
}

int coll_shared_barrier(struct net *net, const struct group *group, struct error *err)
{
	struct sharing sharing;

	if (net_shared_use(net, 0, 0, err) < 0 ||
	    begin(&sharing, net, group, next_to(group), err) < 0 ||
	    step(&sharing, NULL, 0, err) < 0)
		return end(net, -1, err);
	coll_channel_close(&sharing.channel, 1);
	return 0;
}
