/* Messages between neighbours of a graph: weights, or differences of them. */
#include "runtime/exchange_way.h"

#include <assert.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/slice.h"

enum { RIDERS = 4 }; /* at most */

/* What one call is about. */
struct talk {
	struct exchange *exchange;
	const struct exchange_edges *edges;
	const struct exchange_told *told;
	struct vector all;
	bool exact;
	size_t segments;
};

/* Of segment k; the riders go ahead of the first one. */
static size_t riders_in(const struct talk *talk, size_t k)
{
	return k == 0 ? talk->told->rider_count * sizeof(float) : 0;
}

static size_t bound_of(const struct talk *talk, const struct vector *segment, size_t k)
{
	size_t bytes = talk->exact ? segment->count * sizeof(float)
				   : EXCHANGE_FACTOR + coder_bound(talk->exchange->coder,
								   segment->offset, segment->count);

	return riders_in(talk, k) + bytes;
}

/* What the segment says takes its place. The length; 0 and err. */
static size_t write_message(const struct talk *talk, const struct vector *segment, size_t k,
			    unsigned char *message, struct error *err)
{
	size_t ahead = riders_in(talk, k), bytes = segment->count * sizeof(float), length;

	if (ahead)
		memcpy(message, talk->told->riders, ahead);
	if (talk->exact) {
		memcpy(message + ahead, segment->x, bytes);
		return ahead + bytes;
	}
	length = exchange_encode_difference(talk->exchange, segment, true, talk->exchange->sent,
					    message + ahead, err);
	memcpy(segment->x, talk->exchange->sent, bytes);
	return length ? ahead + length : 0;
}

static int begin(const struct talk *talk, size_t k, struct error *err)
{
	struct exchange *exchange = talk->exchange;
	const struct group *group = talk->all.group;
	struct vector segment = exchange_segment(&talk->all, talk->segments, k);
	struct coll_round *round = exchange->slices[k % EXCHANGE_DEPTH];
	size_t most = bound_of(talk, &segment, k), length;
	size_t *in = exchange->numbers, *out = in + group->count;

	for (int i = 0; i < group->count; i++) {
		bool other = i != group->index;

		in[i] = other && talk->edges->weight[i] != 0 ? most : 0;
		out[i] = other && talk->edges->to[i] ? most : 0;
	}
	coll_round_begin(round, exchange->env.net, group, COLL_EACH_ITS_OWN, k, in, out);
	exchange_make_room(exchange, most);
	length = write_message(talk, &segment, k, exchange->message, err);
	if (length == 0)
		return -1;
	for (int i = 0; i < group->count; i++) {
		if (out[i] == 0)
			continue;
		memcpy(coll_round_room(round, i), exchange->message, length);
		coll_round_send(round, i, length);
		exchange->saved += (int64_t)(riders_in(talk, k) + segment.count * sizeof(float)) -
				   (int64_t)length;
	}
	return 0;
}

/* Adds a message of member i's to the segment of sums, and its riders to theirs. */
static int read_message(const struct talk *talk, const struct vector *sum, size_t k, int i,
			const unsigned char *message, size_t length, float *riders,
			struct error *err)
{
	size_t ahead = riders_in(talk, k), bytes = sum->count * sizeof(float);
	int rank = sum->group->ranks[i];
	float weight = talk->edges->weight[i];

	if (length < ahead || (talk->exact && length != ahead + bytes))
		return error_set(err, "rank %d: a message of %zu bytes in place of %zu", rank,
				 length, ahead + bytes);
	for (size_t r = 0; r < ahead / sizeof(float); r++) {
		float rider;

		memcpy(&rider, message + r * sizeof(float), sizeof(rider));
		riders[r] += weight * rider;
	}
	if (!talk->exact)
		return exchange_decode_difference(talk->exchange, sum, rank, message + ahead,
						  length - ahead, weight, err);
	cpu_axpy(sum->x, weight, (const float *)(const void *)(message + ahead), sum->count);
	return 0;
}

static void add_own(const struct talk *talk, const struct vector *sum, size_t k, float *riders)
{
	float weight = talk->edges->weight[sum->group->index];

	cpu_axpy(sum->x, weight, talk->told->x + sum->offset, sum->count);
	for (size_t r = 0; r < riders_in(talk, k) / sizeof(float); r++)
		riders[r] += weight * talk->told->riders[r];
}

static int finish(const struct talk *talk, size_t k, struct error *err)
{
	const struct group *group = talk->all.group;
	struct coll_round *round = talk->exchange->slices[k % EXCHANGE_DEPTH];
	struct vector all = talk->all, sum;
	float riders[RIDERS] = { 0 };

	all.x = talk->told->sum;
	sum = exchange_segment(&all, talk->segments, k);
	for (int i = 0; i < group->count; i++) {
		const unsigned char *message;
		size_t length;

		if (i == group->index)
			add_own(talk, &sum, k, riders);
		if (i == group->index || talk->edges->weight[i] == 0)
			continue;
		message = coll_round_take(round, i, &length, err);
		if (!message || read_message(talk, &sum, k, i, message, length, riders, err) < 0)
			return -1;
	}
	if (riders_in(talk, k))
		memcpy(talk->told->riders, riders, riders_in(talk, k));
	return coll_round_end(round, err);
}

int exchange_neighbours(struct exchange *exchange, const struct group *group, size_t step,
			const struct exchange_edges *edges, const struct exchange_told *told,
			struct error *err)
{
	struct talk talk = {
		.exchange = exchange,
		.edges = edges,
		.told = told,
		.all = { .group = group, .step = step, .x = told->x, .count = exchange->env.count },
		.exact = told->exact || !exchange_is_lossy(exchange),
		.segments = slice_pieces(exchange->env.count, EXCHANGE_SEGMENT)
	};

	assert(told->rider_count <= RIDERS);
	if (!talk.exact && !exchange->sent)
		exchange->sent = xaligned(EXCHANGE_SEGMENT * sizeof(*exchange->sent));
	if (!talk.exact)
		coder_begin(exchange->coder, step, 0, told->x, talk.all.count);
	for (size_t k = 0; k <= talk.segments; k++) {
		if (k < talk.segments && begin(&talk, k, err) < 0)
			return exchange_give_up(exchange, err);
		if (k > 0 && finish(&talk, k - 1, err) < 0)
			return exchange_give_up(exchange, err);
	}
	return 0;
}
