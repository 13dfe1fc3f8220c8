/* Meetings of ranks that wait, called by whoever has the token. */
#include "runtime/sync/meeting.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/device/cpu.h"

/* Messages: a tag is a meeting's number and one of these. */
enum { READY, GO, TOKEN, WEIGHTS, KINDS };

/* A rank computes, waits for a meeting, waits for the weights of its members, has mixed them. */
enum stage { AWAY, WAITING, MEETING, MET };

/* A member's weights, which may come before the meeting's call. */
struct parcel {
	int from; /* -1: none */
	uint64_t number;
	float *x; /* [count] */
};

struct meeting {
	struct sync_env env;
	const struct meeting_rule *rule;
	int self, world;

	pthread_mutex_t lock; /* guards all below */
	void *search;	      /* what it says is of no use without the token */
	bool holding;	      /* the token */
	int at;		      /* where it went with meeting number `known`, the last we know of */
	uint64_t known;
	int *kept; /* [world] that are ready, until the token comes */
	int kept_count;

	enum stage stage;
	const float *weight;   /* while we wait: what we give */
	uint64_t number, last; /* of our meeting, and of the one before */
	int *members, count;   /* [world] */
	double *part;	       /* [world] by member */
	int wanted;	       /* members that give us their weights */
	struct parcel *parcels;
	int partners;
	float *move; /* [count] scratch */
	double consensus, staleness;
	struct buf message;

	bool failed;
	struct error problem;
};

static void fail(struct meeting *meeting, const struct error *err)
{
	if (!meeting->failed)
		meeting->problem = *err;
	meeting->failed = true;
	sync_wake(meeting->env.sync);
}

static void malformed(struct meeting *meeting, int peer)
{
	struct error err;

	error_set(&err, "rank %d sent what does not belong to a meeting; is it of this version?",
		  meeting->env.world->ranks[peer]);
	fail(meeting, &err);
}

/* What stands in meeting->message. */
static void tell(struct meeting *meeting, int place, uint64_t number, int kind)
{
	struct error err;

	if (sync_tell(meeting->env.sync, meeting->env.world->ranks[place],
		      number * KINDS + (uint64_t)kind, meeting->message.data,
		      meeting->message.length, &err) < 0)
		fail(meeting, &err);
}

static struct buf *begin_message(struct meeting *meeting)
{
	buf_consume(&meeting->message, meeting->message.length);
	return &meeting->message;
}

static void give_weights(struct meeting *meeting, int place)
{
	struct error err;

	if (sync_give(meeting->env.sync, meeting->env.world->ranks[place],
		      meeting->number * KINDS + WEIGHTS, meeting->weight,
		      meeting->env.count * sizeof(float), &err) < 0)
		fail(meeting, &err);
}

/* This rank is one of members[count]. */
static void attend(struct meeting *meeting, uint64_t number, const int *members, int count)
{
	int of = 0;

	assert(meeting->stage == WAITING);
	meeting->stage = MEETING;
	meeting->number = number;
	meeting->count = count;
	memmove(meeting->members, members, (size_t)count * sizeof(*members));
	while (members[of] != meeting->self)
		of++;
	meeting->rule->parts(meeting->search, meeting->members, count, of, meeting->part);
	meeting->wanted = 0;
	for (int i = 0; i < count; i++) {
		if (i == of || meeting->part[i] == 0)
			continue;
		meeting->wanted++;
		give_weights(meeting, members[i]);
	}
	if (number > meeting->known) {
		meeting->known = number;
		meeting->at = members[count - 1];
	}
	sync_wake(meeting->env.sync);
}

static void call(struct meeting *meeting, const int *members, int count)
{
	uint64_t number = ++meeting->known;
	struct buf *message = begin_message(meeting);
	bool self = false;

	for (int i = 0; i < count; i++)
		wire_put_u32(message, (uint32_t)members[i]);
	for (int i = 0; i < count; i++) {
		if (members[i] == meeting->self)
			self = true;
		else
			tell(meeting, members[i], number, GO);
	}
	meeting->at = members[count - 1];
	if (self)
		attend(meeting, number, members, count);
	if (meeting->at == meeting->self)
		return;
	meeting->holding = false;
	meeting->rule->put(meeting->search, begin_message(meeting));
	tell(meeting, meeting->at, number, TOKEN);
}

/* `place` waits, and heard that the token came here with meeting `number`. */
static void take_ready(struct meeting *meeting, int place, uint64_t number)
{
	const int *members;
	int count;

	if (meeting->holding) {
		count = meeting->rule->ready(meeting->search, place, &members);
		if (count > 0)
			call(meeting, members, count);
	} else if (meeting->at == meeting->self || number > meeting->known) {
		meeting->kept[meeting->kept_count++] = place;
	} else {
		wire_put_u32(begin_message(meeting), (uint32_t)place);
		tell(meeting, meeting->at, meeting->known, READY);
	}
}

static void take_token(struct meeting *meeting, int peer, uint64_t number, struct wire *from)
{
	int count = meeting->kept_count;

	if (meeting->holding || meeting->rule->get(meeting->search, from) < 0 || from->left) {
		malformed(meeting, peer);
		return;
	}
	meeting->holding = true;
	meeting->at = meeting->self;
	meeting->known = number;
	meeting->kept_count = 0;
	/* It may go on before all are taken: then the others follow it. */
	for (int i = 0; i < count; i++)
		take_ready(meeting, meeting->kept[i], number);
}

static void take_weights(struct meeting *meeting, int peer, uint64_t number, const void *bytes,
			 size_t length)
{
	int i = 0;

	while (i < meeting->partners && meeting->parcels[i].from >= 0)
		i++;
	if (i == meeting->partners || length != meeting->env.count * sizeof(float)) {
		malformed(meeting, peer);
		return;
	}
	memcpy(meeting->parcels[i].x, bytes, length);
	meeting->parcels[i].from = peer;
	meeting->parcels[i].number = number;
	sync_wake(meeting->env.sync);
}

int meeting_called(uint64_t tag, const void *bytes, size_t length, int *members, int most,
		   uint64_t *number)
{
	struct wire message = wire_reader(bytes, length);
	int count = 0;

	*number = tag / KINDS;
	if (tag % KINDS != GO)
		return 0;
	for (; message.left && count < most; count++)
		members[count] = (int)wire_get_u32(&message);
	return message.left || message.failed ? 0 : count;
}

static void take_call(struct meeting *meeting, int peer, uint64_t tag, const void *bytes,
		      size_t length)
{
	uint64_t number;
	int *members = meeting->members;
	int count = meeting->stage == WAITING
			    ? meeting_called(tag, bytes, length, members, meeting->world, &number)
			    : 0;
	bool own = false, inside = true;

	for (int i = 0; i < count; i++) {
		own = own || members[i] == meeting->self;
		inside = inside && members[i] >= 0 && members[i] < meeting->world;
	}
	if (own && inside)
		attend(meeting, number, members, count);
	else
		malformed(meeting, peer);
}

static struct meeting *meeting_of(void *state)
{
	return *(struct meeting **)state;
}

void meeting_serve(void *state, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct meeting *meeting = meeting_of(state);
	int from = group_index(meeting->env.world, peer);
	struct wire message = wire_reader(bytes, length);
	uint32_t place;

	pthread_mutex_lock(&meeting->lock);
	switch (tag % KINDS) {
	case READY:
		place = wire_get_u32(&message);
		if (message.failed || place >= (uint32_t)meeting->world ||
		    meeting->kept_count == meeting->world)
			malformed(meeting, from);
		else
			take_ready(meeting, (int)place, tag / KINDS);
		break;
	case GO: take_call(meeting, from, tag, bytes, length); break;
	case TOKEN: take_token(meeting, from, tag / KINDS, &message); break;
	default: take_weights(meeting, from, tag / KINDS, bytes, length);
	}
	pthread_mutex_unlock(&meeting->lock);
}

static struct parcel *find_parcel(struct meeting *meeting, int from)
{
	for (int i = 0; i < meeting->partners; i++)
		if (meeting->parcels[i].from == from &&
		    meeting->parcels[i].number == meeting->number)
			return &meeting->parcels[i];
	return NULL;
}

static bool is_whole(struct meeting *meeting)
{
	int here = 0;

	for (int i = 0; i < meeting->partners; i++)
		here += meeting->parcels[i].from >= 0 &&
			meeting->parcels[i].number == meeting->number;
	return meeting->stage == MEETING && here == meeting->wanted;
}

/* By differences, so that equal weights stay as they are; in the order of places. */
static void mix(struct meeting *meeting, float *weight)
{
	size_t count = meeting->env.count;
	float *move = meeting->move;

	memset(move, 0, count * sizeof(*move));
	for (int place = 0; place < meeting->world; place++) {
		struct parcel *parcel = find_parcel(meeting, place);
		int i = 0;

		if (!parcel)
			continue;
		while (meeting->members[i] != place)
			i++;
		cpu_axpy(parcel->x, -1, weight, count);
		cpu_axpy(move, (float)meeting->part[i], parcel->x, count);
		parcel->from = -1;
	}
	cpu_add(weight, move, count);
	meeting->consensus = sqrt(cpu_sum_squares(move, count) / cpu_sum_squares(weight, count));
	meeting->staleness = (double)(meeting->number - meeting->last - 1);
	meeting->last = meeting->number;
	meeting->stage = MET;
}

int meeting_go(void *state, size_t step, float *weight, struct error *err)
{
	struct meeting *meeting = meeting_of(state);
	int status = 0;

	(void)step;
	if (meeting->world == 1)
		return 1;
	pthread_mutex_lock(&meeting->lock);
	if (meeting->stage == AWAY) {
		meeting->stage = WAITING;
		meeting->weight = weight;
		take_ready(meeting, meeting->self, meeting->known);
	}
	if (is_whole(meeting))
		mix(meeting, weight);
	if (meeting->stage == MET) {
		meeting->stage = AWAY;
		status = 1;
	}
	if (meeting->failed) {
		*err = meeting->problem;
		status = -1;
	}
	pthread_mutex_unlock(&meeting->lock);
	return status;
}

static void begin_anew(struct meeting *meeting)
{
	meeting->rule->reset(meeting->search);
	meeting->holding = meeting->self == 0;
	meeting->at = 0;
	meeting->known = meeting->number = meeting->last = 0;
	meeting->kept_count = 0;
}

/* Who was called has all weights here by now. */
int meeting_settle(void *state, float *weight, struct error *err)
{
	struct meeting *meeting = meeting_of(state);
	int status = 0;

	pthread_mutex_lock(&meeting->lock);
	if (is_whole(meeting))
		mix(meeting, weight);
	assert(meeting->failed || meeting->stage != MEETING);
	if (meeting->stage == WAITING)
		meeting->stage = AWAY;
	begin_anew(meeting);
	if (meeting->failed) {
		*err = meeting->problem;
		status = -1;
	}
	pthread_mutex_unlock(&meeting->lock);
	return status;
}

void meeting_report(void *state, struct drift *drift)
{
	struct meeting *meeting = meeting_of(state);

	pthread_mutex_lock(&meeting->lock);
	if (meeting->count > 0) {
		drift->participants = meeting->count;
		drift->consensus = meeting->consensus;
		drift->staleness = drift->staleness_most = meeting->staleness;
	}
	pthread_mutex_unlock(&meeting->lock);
}

struct meeting *meeting_new(const struct sync_env *env, const struct meeting_rule *rule,
			    void *search, int partners)
{
	struct meeting *meeting = xcalloc(1, sizeof(*meeting));
	size_t world = (size_t)env->world->count;

	meeting->env = *env;
	meeting->rule = rule;
	meeting->search = search;
	meeting->self = env->world->index;
	meeting->world = env->world->count;
	meeting->kept = xcalloc(world, sizeof(*meeting->kept));
	meeting->members = xcalloc(world, sizeof(*meeting->members));
	meeting->part = xcalloc(world, sizeof(*meeting->part));
	meeting->move = xaligned(env->count * sizeof(*meeting->move));
	meeting->partners = partners;
	meeting->parcels = xcalloc((size_t)partners + 1, sizeof(*meeting->parcels));
	for (int i = 0; i < partners; i++) {
		meeting->parcels[i].x = xaligned(env->count * sizeof(float));
		meeting->parcels[i].from = -1;
	}
	pthread_mutex_init(&meeting->lock, NULL);
	begin_anew(meeting);
	return meeting;
}

void meeting_free(struct meeting *meeting)
{
	if (!meeting)
		return;
	for (int i = 0; i < meeting->partners; i++)
		free(meeting->parcels[i].x);
	buf_release(&meeting->message);
	pthread_mutex_destroy(&meeting->lock);
	free(meeting->kept);
	free(meeting->members);
	free(meeting->part);
	free(meeting->move);
	free(meeting->parcels);
	free(meeting);
}
