/* How ranks change to another schedule at the same step. */
#include "runtime/sync/ds_agree.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/error.h"
#include "lib/groups.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/coll.h"
#include "runtime/transport/transport.h"

/* Tags of messages. */
#define PROPOSAL (NET_TAG_UNSOLICITED + 0x20)
#define ANSWER	 (NET_TAG_UNSOLICITED + 0x21)
#define VERDICT	 (NET_TAG_UNSOLICITED + 0x22)

static const double LOOK_S = 0.05; /* whether the one is lost whose verdict is awaited */

/* A record begins with the number of phases in force and agreed upon, and the latter's step. */
enum { PHASES_NOW, PHASES_LATER, STEP_HIGH, STEP_LOW, HEAD };
static const uint64_t STEP_UNIT = 1 << 20; /* floats hold whole numbers up to 2^24 */

enum stage { NOTHING, PROPOSED, AGREED, REFUSED };

struct ds_agree {
	struct net *net;
	const struct group *world;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	enum stage stage;
	uint32_t number; /* of the last proposal */
	struct schedule proposed;
	uint64_t from; /* its step */
	uint64_t next; /* step, from which on no group was formed */
	int answers;   /* rank 0: so many have come */
	bool late;     /* one of them too late */
};

struct ds_agree *ds_agree_new(struct net *net, const struct group *world)
{
	struct ds_agree *agree = xcalloc(1, sizeof(*agree));

	agree->net = net;
	agree->world = world;
	pthread_mutex_init(&agree->lock, NULL);
	clock_cond_init(&agree->changed);
	return agree;
}

void ds_agree_free(struct ds_agree *agree)
{
	if (!agree)
		return;
	schedule_release(&agree->proposed);
	pthread_cond_destroy(&agree->changed);
	pthread_mutex_destroy(&agree->lock);
	free(agree);
}

/* A schedule as numbers that floats hold exactly, too, one for each place of each phase: twice the
 * rank there, and 1 more where a group begins. */
static void encode(const struct schedule *schedule, uint32_t *codes)
{
	for (int p = 0; p < schedule->phases; p++) {
		const struct partition *partition = &schedule->phase[p];
		int place = 0;

		for (int g = 0; g < partition->groups; g++)
			for (int i = 0; i < partition->sizes[g]; i++, place++)
				*codes++ = 2 * (uint32_t)partition->ranks[place] + (i == 0);
	}
}

static struct partition decode_phase(const uint32_t *codes, int world)
{
	struct partition partition = { .ranks = xcalloc((size_t)world, sizeof(int)),
				       .sizes = xcalloc((size_t)world, sizeof(int)) };

	for (int i = 0; i < world; i++) {
		partition.groups += i == 0 || codes[i] % 2;
		partition.sizes[partition.groups - 1]++;
		partition.ranks[i] = (int)(codes[i] / 2);
	}
	return partition;
}

static int decode(struct schedule *out, int world, uint32_t phases, const uint32_t *codes,
		  struct error *err)
{
	struct schedule schedule = { .world = world, .phases = (int)phases };

	if (phases == 0 || phases > DS_PHASES)
		return error_set(err, "a schedule of %u phases", phases);
	schedule.phase = xcalloc(phases, sizeof(*schedule.phase));
	for (uint32_t p = 0; p < phases; p++)
		schedule.phase[p] = decode_phase(codes + p * (size_t)world, world);
	if (schedule_check(&schedule, err) < 0) {
		schedule_release(&schedule);
		return -1;
	}
	*out = schedule;
	return 0;
}

static int tell_others(struct ds_agree *agree, uint64_t tag, const struct buf *message,
		       struct error *err)
{
	for (int i = 0; i < agree->world->count; i++)
		if (i != agree->world->index && net_tell(agree->net, agree->world->ranks[i], tag,
							 message->data, message->length, err) < 0)
			return -1;
	return 0;
}

/* Locked. */
static void set_proposal(struct ds_agree *agree, const struct schedule *schedule, uint64_t from)
{
	struct schedule copy;

	schedule_copy(&copy, schedule); /* it may be the same */
	schedule_release(&agree->proposed);
	agree->proposed = copy;
	agree->from = from;
	agree->stage = PROPOSED;
}

int ds_agree_propose(struct ds_agree *agree, const struct schedule *schedule, uint64_t from,
		     struct error *err)
{
	size_t count = (size_t)schedule->phases * (size_t)schedule->world;
	uint32_t *codes = xcalloc(count, sizeof(*codes));
	struct buf message = { 0 };
	int status;

	assert(schedule->phases <= DS_PHASES);
	encode(schedule, codes);
	pthread_mutex_lock(&agree->lock);
	assert(from >= agree->next);
	set_proposal(agree, schedule, from);
	agree->number++;
	agree->answers = 0;
	agree->late = false;
	if (agree->world->count == 1)
		agree->stage = AGREED;
	wire_put_u32(&message, agree->number);
	pthread_mutex_unlock(&agree->lock);
	wire_put_u64(&message, from);
	wire_put_u32(&message, (uint32_t)schedule->phases);
	for (size_t i = 0; i < count; i++)
		wire_put_u32(&message, codes[i]);
	status = tell_others(agree, PROPOSAL, &message, err);
	buf_release(&message);
	free(codes);
	return status;
}

bool ds_agree_was_refused(struct ds_agree *agree)
{
	bool refused;

	pthread_mutex_lock(&agree->lock);
	refused = agree->stage == REFUSED;
	pthread_mutex_unlock(&agree->lock);
	return refused;
}

/* A number and yes or no: answers and verdicts. What cannot be sent is lost with its peer, which
 * all others will hear of in time. */
static void tell_word(struct ds_agree *agree, int peer, uint64_t tag, uint32_t number, bool yes)
{
	struct buf message = { 0 };
	struct error ignored;

	wire_put_u32(&message, number);
	wire_put_u8(&message, yes);
	if (peer >= 0)
		net_tell(agree->net, peer, tag, message.data, message.length, &ignored);
	else
		tell_others(agree, tag, &message, &ignored);
	buf_release(&message);
}

static void hear_proposal(struct ds_agree *agree, int peer, struct wire *wire)
{
	uint32_t number = wire_get_u32(wire), phases, *codes;
	uint64_t from = wire_get_u64(wire);
	size_t world = (size_t)agree->world->count, count;
	struct schedule schedule;
	struct error ignored;
	bool in_time;

	phases = wire_get_u32(wire);
	count = wire->left / sizeof(*codes);
	if (wire->failed || phases > DS_PHASES || count != phases * world)
		return;
	codes = xcalloc(count, sizeof(*codes));
	for (size_t i = 0; i < count; i++)
		codes[i] = wire_get_u32(wire);
	if (decode(&schedule, (int)world, phases, codes, &ignored) == 0) {
		pthread_mutex_lock(&agree->lock);
		in_time = from >= agree->next && agree->stage != AGREED;
		agree->number = in_time ? number : agree->number;
		if (in_time)
			set_proposal(agree, &schedule, from);
		pthread_mutex_unlock(&agree->lock);
		schedule_release(&schedule);
		tell_word(agree, peer, ANSWER, number, in_time);
	}
	free(codes);
}

static void hear_answer(struct ds_agree *agree, uint32_t number, bool in_time)
{
	bool last = false, agreed = false;

	pthread_mutex_lock(&agree->lock);
	if (agree->stage == PROPOSED && number == agree->number) {
		agree->late |= !in_time;
		last = ++agree->answers == agree->world->count - 1;
		agreed = !agree->late;
		if (last)
			agree->stage = agreed ? AGREED : REFUSED;
		pthread_cond_broadcast(&agree->changed);
	}
	pthread_mutex_unlock(&agree->lock);
	if (last)
		tell_word(agree, -1, VERDICT, number, agreed);
}

static void hear_verdict(struct ds_agree *agree, uint32_t number, bool agreed)
{
	pthread_mutex_lock(&agree->lock);
	if (agree->stage == PROPOSED && number == agree->number) {
		agree->stage = agreed ? AGREED : NOTHING;
		pthread_cond_broadcast(&agree->changed);
	}
	pthread_mutex_unlock(&agree->lock);
}

bool ds_agree_serve(struct ds_agree *agree, int peer, uint64_t tag, const void *bytes,
		    size_t length)
{
	struct wire wire = wire_reader(bytes, length);
	bool leads = net_rank(agree->net) == 0;

	if (tag < PROPOSAL || tag > VERDICT)
		return false;
	if (tag == PROPOSAL && peer == 0) {
		hear_proposal(agree, peer, &wire);
	} else if (tag != PROPOSAL && (leads || peer == 0)) {
		uint32_t number = wire_get_u32(&wire);
		bool yes = wire_get_u8(&wire) != 0;

		if (wire.failed)
			return true;
		if (leads && tag == ANSWER)
			hear_answer(agree, number, yes);
		else if (!leads && tag == VERDICT)
			hear_verdict(agree, number, yes);
	}
	return true;
}

/* Locked, and returns so. */
static int wait_for_verdict(struct ds_agree *agree, struct error *err)
{
	double deadline = clock_now() + net_timeout(agree->net);

	while (agree->stage == PROPOSED) {
		struct timespec until = clock_timespec(clock_now() + LOOK_S);

		pthread_cond_timedwait(&agree->changed, &agree->lock, &until);
		if (agree->stage != PROPOSED)
			break;
		for (int i = 0; i < agree->world->count; i++)
			if (i != agree->world->index &&
			    net_check(agree->net, agree->world->ranks[i], err) < 0)
				return -1;
		if (clock_now() > deadline)
			return error_set(err, "no verdict on new groups from rank 0 (%s)",
					 net_host(agree->net, 0));
	}
	return 0;
}

int ds_agree_pass(struct ds_agree *agree, uint64_t step, struct schedule *schedule,
		  struct error *err)
{
	int status = 0;

	pthread_mutex_lock(&agree->lock);
	if (step >= agree->from)
		status = wait_for_verdict(agree, err);
	if (status == 0 && agree->stage == AGREED && step >= agree->from) {
		schedule_release(schedule);
		*schedule = agree->proposed;
		agree->proposed = (struct schedule){ 0 };
		agree->stage = NOTHING;
		status = 1;
	}
	agree->next = step + 1;
	pthread_mutex_unlock(&agree->lock);
	return status;
}

size_t ds_agree_record_size(const struct ds_agree *agree)
{
	return HEAD + 2 * (size_t)DS_PHASES * (size_t)agree->world->count;
}

static void put(const struct schedule *schedule, float *numbers)
{
	size_t count = (size_t)schedule->phases * (size_t)schedule->world;
	uint32_t *codes = xcalloc(count, sizeof(*codes));

	encode(schedule, codes);
	for (size_t i = 0; i < count; i++)
		numbers[i] = (float)codes[i];
	free(codes);
}

void ds_agree_save(struct ds_agree *agree, const struct schedule *in_force, float *record)
{
	size_t room = (size_t)DS_PHASES * (size_t)agree->world->count;

	memset(record, 0, ds_agree_record_size(agree) * sizeof(*record));
	if (in_force) {
		record[PHASES_NOW] = (float)in_force->phases;
		put(in_force, record + HEAD);
	}
	pthread_mutex_lock(&agree->lock);
	if (agree->stage == AGREED) {
		record[PHASES_LATER] = (float)agree->proposed.phases;
		record[STEP_HIGH] = (float)(agree->from / STEP_UNIT);
		record[STEP_LOW] = (float)(agree->from % STEP_UNIT);
		put(&agree->proposed, record + HEAD + room);
	}
	pthread_mutex_unlock(&agree->lock);
}

/* Numbers from a file: what no code can be is made one that no rank has. */
static int get(struct schedule *out, int world, float phases, const float *numbers,
	       struct error *err)
{
	size_t count = (size_t)DS_PHASES * (size_t)world;
	uint32_t *codes = xcalloc(count, sizeof(*codes));
	int status;

	for (size_t i = 0; i < count; i++)
		codes[i] = numbers[i] >= 0 && numbers[i] < 2 * (float)world ? (uint32_t)numbers[i]
									    : 2 * (uint32_t)world;
	status = decode(out, world, phases > 0 && phases <= DS_PHASES ? (uint32_t)phases : 0, codes,
			err);
	free(codes);
	return status;
}

static uint64_t whole(float number)
{
	return number >= 0 && number < 0x1p24f ? (uint64_t)number : 0;
}

int ds_agree_restore(struct ds_agree *agree, const float *record, struct schedule *schedule,
		     bool *replaced, struct error *err)
{
	int world = agree->world->count;
	size_t room = (size_t)DS_PHASES * (size_t)world;
	struct schedule read;
	uint64_t from;

	*replaced = record[PHASES_NOW] != 0;
	if (*replaced) {
		if (get(&read, world, record[PHASES_NOW], record + HEAD, err) < 0)
			return error_prefix(err, "the checkpoint's groups");
		schedule_release(schedule);
		*schedule = read;
	}
	if (record[PHASES_LATER] == 0)
		return 0;
	if (get(&read, world, record[PHASES_LATER], record + HEAD + room, err) < 0)
		return error_prefix(err, "the checkpoint's next groups");
	from = whole(record[STEP_HIGH]) * STEP_UNIT + whole(record[STEP_LOW]);
	pthread_mutex_lock(&agree->lock);
	set_proposal(agree, &read, from);
	agree->stage = AGREED;
	pthread_mutex_unlock(&agree->lock);
	schedule_release(&read);
	return 0;
}
