/*
 * A parameter server whose parts are ranks: the messages, and both ends of them. At most one update
 * of a rank is under way to a holder, two where it computes meanwhile.
 *
 *	update	u64 clock, u64 version of the values that it was made from, what exchange_push
 *		makes of it, f64 what the rank says of it
 *	answer	u64 clock of the update, u64 version, floats
 *
 * Where updates are compressed all that is done with them, by either end, is done with what the
 * messages say, and what they leave out is owed by the rank.
 *
 * At a cut all that is applied at the holders becomes every rank's weights. What waits there for
 * other ranks, an answer or a round, goes on waiting afterwards.
 */
#include "runtime/sync/server.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/exchange.h"
#include "runtime/sync/holdings.h"
#include "runtime/transport/transport.h"

enum { TAG_UPDATE, TAG_ANSWER };
enum { OWN = sizeof(double) }; /* at the end of an update */
/* A count is two floats in a checkpoint, exact up to 2^44. */
#define COUNT_UNIT ((uint64_t)1 << 22)

struct server {
	struct sync_env env;
	struct server_rule rule;
	struct holdings holdings;
	size_t ranks, own;
	uint64_t *counts; /* [count_count], of which those below and the keeper's are parts */
	size_t count_count;
	float *record; /* [2 count_count], for checkpoints */

	/* The training thread's own. */
	float *from;	  /* [count] weights that the step began with */
	float *update;	  /* [count] what it changed, as told */
	uint64_t *pushed; /* updates sent */
	struct buf out;

	pthread_mutex_t lock; /* guards all below */
	struct keeper keeper;
	uint64_t *answered; /* [ranks] the last update that each holder answered */
	uint64_t *version;  /* [ranks] of the values that came with it */
	float *pulled;	    /* [count] these */
	float *heard;	    /* [what this rank holds] a peer's update */
	struct buf answer;
	bool failed;
	struct error problem; /* the first one, if failed */
};

static size_t start_of(const struct server *server, size_t rank)
{
	return server->holdings.bounds[rank];
}

static size_t held_by(const struct server *server, size_t rank)
{
	return holdings_count(&server->holdings, rank);
}

/* The ledger's arrays, the keeper's, this rank's own. */
static void lay_out_counts(struct server *server)
{
	uint64_t *next;

	server->count_count = (server->rule.judge ? 5 : 4) * server->ranks + 2;
	next = server->counts = xcalloc(server->count_count, sizeof(*next));
	server->record = xcalloc(2 * server->count_count, sizeof(*server->record));
	server->keeper.ledger.clock = next;
	server->keeper.ledger.owed = next + server->ranks;
	server->answered = next + 2 * server->ranks;
	server->version = next + 3 * server->ranks;
	server->pushed = next + 4 * server->ranks;
	server->keeper.version = server->pushed + 1;
	server->keeper.waiting = server->pushed + 2;
}

static void open_keeper(struct server *server, const struct server_params *params)
{
	struct keeper *keeper = &server->keeper;
	const struct server_rule *rule = &server->rule;

	keeper->count = held_by(server, server->own);
	keeper->scale = (float)(params->rate / (double)server->ranks);
	keeper->dampening = rule->dampening;
	keeper->rounds = rule->rounds;
	keeper->judge = rule->judge;
	keeper->ledger.workers = server->ranks;
	keeper->ledger.bound = rule->bound;
	keeper->ledger.ahead = rule->overlap;
	keeper_init(keeper);
}

struct server *server_new(const struct server_params *params, const struct server_rule *rule,
			  const struct sync_env *env, struct error *err)
{
	size_t bytes = env->count * sizeof(float);
	struct server *server = xcalloc(1, sizeof(*server));

	if (holdings_make(&server->holdings, &params->servers, env, err) < 0) {
		free(server);
		return NULL;
	}
	server->env = *env;
	server->rule = *rule;
	server->ranks = (size_t)env->world->count;
	server->own = (size_t)net_rank(env->net);
	lay_out_counts(server);
	open_keeper(server, params);
	server->from = xaligned(bytes);
	server->update = xaligned(bytes);
	server->pulled = xaligned(bytes);
	server->heard = xaligned(server->keeper.count * sizeof(float));
	pthread_mutex_init(&server->lock, NULL);
	return server;
}

size_t server_holds(const struct server *server)
{
	return server->keeper.count;
}

/* With the lock. */
static void take_answer(struct server *server, size_t rank, uint64_t clock, uint64_t version,
			const void *floats)
{
	if (clock <= server->answered[rank])
		return;
	server->answered[rank] = clock;
	server->version[rank] = version;
	memcpy(server->pulled + start_of(server, rank), floats,
	       held_by(server, rank) * sizeof(float));
}

/* With the lock. */
static void fail(struct server *server, const struct error *err)
{
	if (!server->failed)
		server->problem = *err;
	server->failed = true;
}

/* With the lock. */
static int check(const struct server *server, struct error *err)
{
	if (server->failed)
		*err = server->problem;
	return server->failed ? -1 : 0;
}

/* With the lock. A peer that cannot be told any more is lost, which the run finds out anyway. */
static void answer(struct server *server, size_t worker, uint64_t clock)
{
	const struct keeper *keeper = &server->keeper;
	struct error ignored;

	if (keeper->judge)
		keeper->judge->answered(keeper->judge->arg, worker, keeper->values);
	if (worker == server->own) {
		take_answer(server, worker, clock, *keeper->version, keeper->values);
		return;
	}
	server->answer.length = 0;
	wire_put_u64(&server->answer, clock);
	wire_put_u64(&server->answer, *keeper->version);
	buf_add(&server->answer, keeper->values, keeper->count * sizeof(float));
	sync_give(server->env.sync, (int)worker, TAG_ANSWER, server->answer.data,
		  server->answer.length, &ignored);
}

/* With the lock. Whether this rank has an answer that it waited for. */
static bool take_update(struct server *server, const struct keeper_update *update)
{
	bool woken;

	keeper_take(&server->keeper, update);
	woken = server->keeper.ledger.owed[server->own] != 0;
	for (size_t w = 0; w < server->ranks; w++) {
		uint64_t clock = ledger_answer(&server->keeper.ledger, w);

		if (clock != 0)
			answer(server, w, clock);
	}
	return woken && server->keeper.ledger.owed[server->own] == 0;
}

static uint64_t version_of(struct server *server, size_t holder)
{
	uint64_t version;

	pthread_mutex_lock(&server->lock);
	version = server->version[holder];
	pthread_mutex_unlock(&server->lock);
	return version;
}

static void push_to_own(struct server *server, const struct keeper_update *update)
{
	pthread_mutex_lock(&server->lock);
	take_update(server, update);
	pthread_mutex_unlock(&server->lock);
}

static int push(struct server *server, size_t step, size_t holder, struct error *err)
{
	const struct server_witness *witness = server->rule.witness;
	struct exchange *exchange = server->env.exchange;
	size_t start = start_of(server, holder), count = held_by(server, holder), length;
	struct exchange_update told = { (int)holder, step, start, server->update + start, count };
	struct keeper_update update = { .worker = server->own,
					.clock = *server->pushed,
					.version = version_of(server, holder),
					.own = NAN,
					.floats = told.x };
	struct buf *out = &server->out;
	char *room;

	out->length = 0;
	wire_put_u64(out, update.clock);
	wire_put_u64(out, update.version);
	room = buf_reserve(out, exchange_push_bound(exchange, start, count));
	length = exchange_push(exchange, &told, (unsigned char *)room, err);
	if (length == 0)
		return -1;
	out->length += length;
	if (witness)
		update.own =
			witness->tell(witness->arg, server->from, server->update, start, count);
	wire_put_f64(out, update.own);
	if (holder != server->own)
		return sync_give(server->env.sync, (int)holder, TAG_UPDATE, out->data, out->length,
				 err);
	push_to_own(server, &update);
	return 0;
}

/* Each rank begins with the next one's piece, so that no holder hears of all at once. */
int server_weights(void *memory, size_t step, float *weight, struct error *err)
{
	struct server *server = *(struct server **)memory;
	const struct server_witness *witness = server->rule.witness;

	for (size_t i = 0; i < server->env.count; i++)
		server->update[i] = weight[i] - server->from[i];
	++*server->pushed;
	for (size_t i = 1; i <= server->ranks; i++) {
		size_t holder = (server->own + i) % server->ranks;

		if (held_by(server, holder) && push(server, step, holder, err) < 0)
			return -1;
	}
	if (witness)
		witness->done(witness->arg, server->from, server->update);
	return 0;
}

/* With the lock. */
static int may_go(const struct server *server, struct error *err)
{
	if (check(server, err) < 0)
		return -1;
	for (size_t r = 0; r < server->ranks; r++)
		if (held_by(server, r) &&
		    server->answered[r] + server->rule.overlap < *server->pushed)
			return 0;
	return 1;
}

/* With the lock. What an answer does not yet have of this rank's own, it will. */
static void pull(struct server *server, size_t holder, float *weight)
{
	size_t start = start_of(server, holder), count = held_by(server, holder);

	memcpy(weight + start, server->pulled + start, count * sizeof(*weight));
	for (size_t i = start; i < start + count && server->answered[holder] < *server->pushed; i++)
		weight[i] += server->keeper.scale * server->update[i];
}

int server_go(void *memory, size_t step, float *weight, struct error *err)
{
	struct server *server = *(struct server **)memory;
	int may;

	(void)step;
	pthread_mutex_lock(&server->lock);
	may = may_go(server, err);
	for (size_t r = 0; r < server->ranks && may > 0; r++)
		pull(server, r, weight);
	pthread_mutex_unlock(&server->lock);
	if (may > 0)
		memcpy(server->from, weight, server->env.count * sizeof(*weight));
	return may;
}

static int gather(struct server *server, float *weight, struct error *err)
{
	const struct group *world = server->env.world;
	size_t *starts = xcalloc(server->ranks, sizeof(*starts));
	size_t *lengths = xcalloc(server->ranks, sizeof(*lengths));
	unsigned char *all = NULL;
	int status;

	server->out.length = 0;
	wire_put_u64(&server->out, *server->keeper.version);
	buf_add(&server->out, server->keeper.values, server->keeper.count * sizeof(float));
	status = coll_allgather_bytes(server->env.net, world, server->out.data, server->out.length,
				      &all, starts, lengths, err);
	for (size_t i = 0; i < server->ranks && status == 0; i++) {
		size_t rank = (size_t)world->ranks[i];
		struct wire wire = wire_reader(all + starts[i], lengths[i]);

		server->version[rank] = wire_get_u64(&wire);
		if (wire.left != held_by(server, rank) * sizeof(float))
			status =
				error_set(err, "rank %zu holds other parameters than agreed", rank);
		else
			memcpy(weight + start_of(server, rank), wire.next, wire.left);
	}
	free(all);
	free(starts);
	free(lengths);
	return status;
}

/* With the lock: all ranks have the holders' values. */
static void all_have(struct server *server, const float *weight)
{
	const struct keeper_judge *judge = server->rule.judge;
	size_t bytes = server->env.count * sizeof(*weight);

	memcpy(server->from, weight, bytes);
	memcpy(server->pulled, weight, bytes);
	memset(server->update, 0, bytes);
	for (size_t w = 0; w < server->ranks && judge; w++)
		judge->answered(judge->arg, w, server->keeper.values);
}

/* What the record of a checkpoint says. */
static int restore_counts(struct server *server, struct error *err)
{
	const float unit = (float)COUNT_UNIT;

	for (size_t i = 0; i < server->count_count; i++) {
		float high = server->record[2 * i], low = server->record[2 * i + 1];

		if (!(high >= 0 && high < unit && low >= 0 && low < unit))
			return error_set(err, "the checkpoint's counts of updates are none");
		server->counts[i] = (uint64_t)high * COUNT_UNIT + (uint64_t)low;
	}
	return 0;
}

/* The values are the weights of the checkpoint. */
int server_begin(void *memory, const float *weight, struct error *err)
{
	struct server *server = *(struct server **)memory;
	int status;

	pthread_mutex_lock(&server->lock);
	status = restore_counts(server, err);
	memcpy(server->keeper.values, weight + start_of(server, server->own),
	       server->keeper.count * sizeof(*weight));
	all_have(server, weight);
	pthread_mutex_unlock(&server->lock);
	return status;
}

int server_settle(void *memory, float *weight, struct error *err)
{
	struct server *server = *(struct server **)memory;
	int status;

	pthread_mutex_lock(&server->lock);
	status = check(server, err) < 0 ? -1 : gather(server, weight, err);
	if (status == 0)
		all_have(server, weight);
	for (size_t i = 0; i < server->count_count; i++) {
		server->record[2 * i] = (float)(server->counts[i] / COUNT_UNIT);
		server->record[2 * i + 1] = (float)(server->counts[i] % COUNT_UNIT);
	}
	pthread_mutex_unlock(&server->lock);
	return status;
}

void server_report(void *memory, struct drift *drift)
{
	struct server *server = *(struct server **)memory;

	pthread_mutex_lock(&server->lock);
	keeper_report(&server->keeper, &drift->staleness, &drift->staleness_most, &drift->accepted);
	pthread_mutex_unlock(&server->lock);
}

/* With the lock, as below. -1 and err if it is none. */
static int hear_update(struct server *server, size_t peer, const void *bytes, size_t length,
		       bool *woken, struct error *err)
{
	struct wire wire = wire_reader(bytes, length), tail;
	struct keeper_update update = { .worker = peer };

	update.clock = wire_get_u64(&wire);
	update.version = wire_get_u64(&wire);
	if (wire.failed || wire.left < OWN)
		return error_set(err, "rank %zu: an update ends too early", peer);
	tail = wire_reader(wire.next + wire.left - OWN, OWN);
	update.own = wire_get_f64(&tail);
	update.floats = exchange_pushed(server->env.exchange, (int)peer, wire.next, wire.left - OWN,
					start_of(server, server->own), server->heard,
					server->keeper.count, err);
	if (!update.floats)
		return -1;
	*woken = take_update(server, &update);
	return 0;
}

static int hear_answer(struct server *server, size_t peer, const void *bytes, size_t length,
		       bool *woken, struct error *err)
{
	struct wire wire = wire_reader(bytes, length);
	uint64_t clock = wire_get_u64(&wire), version = wire_get_u64(&wire);

	if (wire.failed || wire.left != held_by(server, peer) * sizeof(float))
		return error_set(err, "rank %zu: an answer of %zu bytes", peer, length);
	take_answer(server, peer, clock, version, wire.next);
	*woken = true;
	return 0;
}

void server_serve(void *memory, int peer, uint64_t tag, const void *bytes, size_t length)
{
	struct server *server = *(struct server **)memory;
	size_t from = (size_t)peer;
	bool woken = false;
	struct error err;
	int status;

	pthread_mutex_lock(&server->lock);
	status = tag == TAG_UPDATE ? hear_update(server, from, bytes, length, &woken, &err)
				   : hear_answer(server, from, bytes, length, &woken, &err);
	if (status < 0)
		fail(server, &err);
	woken = woken || status < 0;
	pthread_mutex_unlock(&server->lock);
	if (woken)
		sync_wake(server->env.sync);
}

/* As settle() left it: what the holders have is in the weights. */
size_t server_state(void *memory, struct state_array *arrays)
{
	struct server *server = *(struct server **)memory;
	const struct keeper *keeper = &server->keeper;

	arrays[0] = (struct state_array){ "counts", server->record, 2 * server->count_count };
	arrays[1] = (struct state_array){ "held", keeper->held, server->ranks * keeper->count };
	return keeper->held ? 2 : 1;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	pthread_mutex_destroy(&server->lock);
	keeper_release(&server->keeper);
	holdings_release(&server->holdings);
	buf_release(&server->out);
	buf_release(&server->answer);
	free(server->counts);
	free(server->record);
	free(server->from);
	free(server->update);
	free(server->pulled);
	free(server->heard);
	free(server);
}
