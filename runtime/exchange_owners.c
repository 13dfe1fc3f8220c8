/* Sums of slices: each goes to its owner, who adds up and hands out the sum, encoded again. */
#include "runtime/exchange_way.h"

#include <string.h>

#include "runtime/residual.h"
#include "runtime/slice.h"

/* A vector on its way, and what is due of it; the same memory where nothing is owed. */
struct sum {
	struct exchange *exchange;
	const struct vector *vector;
	struct vector due;
	size_t segments; /* of each slice */
};

/* Segment k of a member's slice. */
static struct vector segment_of(const struct sum *sum, const struct vector *vector, size_t k,
				int member)
{
	size_t count, start;
	struct vector slice;

	start = slice_start(vector->count, (size_t)vector->group->count, (size_t)member, &count);
	slice = exchange_part(vector, start, count);
	return exchange_segment(&slice, sum->segments, k);
}

static size_t bound_of(const struct sum *sum, size_t k, int member)
{
	struct vector segment = segment_of(sum, &sum->due, k, member);

	return coder_bound(sum->exchange->coder, segment.offset, segment.count);
}

static int member_after(const struct sum *sum, int distance)
{
	const struct group *group = sum->vector->group;

	return (group->index + group->count + distance) % group->count;
}

static int encode(const struct sum *sum, const struct vector *segment, struct coll_round *round,
		  int to, struct error *err)
{
	struct exchange *exchange = sum->exchange;
	unsigned char *message = coll_round_room(round, to);
	bool is_sum = to == sum->vector->group->index;
	size_t length = (is_sum ? coder_encode_sum : coder_encode)(
		exchange->coder, segment->offset, segment->x, segment->count, message, err);

	if (length == 0 || residual_settle(exchange->residual, exchange->coder, message, length,
					   segment->offset, segment->count, err) < 0)
		return -1;
	coll_round_send(round, to, length);
	return 0;
}

/* Encodes segments k of the slices of the others: each leaves while the next one is encoded. */
static int scatter(const struct sum *sum, size_t k, struct error *err)
{
	struct exchange *exchange = sum->exchange;
	const struct group *group = sum->vector->group;
	struct coll_round *round = exchange->slices[k % EXCHANGE_DEPTH];
	size_t *in = exchange->numbers, *out = in + group->count;

	for (int i = 0; i < group->count; i++) {
		in[i] = bound_of(sum, k, group->index);
		out[i] = bound_of(sum, k, i);
	}
	coll_round_begin(round, exchange->env.net, group, COLL_EACH_ITS_OWN, k, in, out);
	for (int distance = 1; distance < group->count; distance++) {
		int to = member_after(sum, distance);
		struct vector segment = segment_of(sum, &sum->due, k, to);

		if (segment.count && encode(sum, &segment, round, to, err) < 0)
			return -1;
	}
	return 0;
}

/* The round in which segments k of the sums go to everybody. */
static struct coll_round *begin_sums(const struct sum *sum, size_t k)
{
	struct exchange *exchange = sum->exchange;
	const struct group *group = sum->vector->group;
	struct coll_round *round = exchange->sums[k % EXCHANGE_DEPTH];
	size_t *most = exchange->numbers, bytes = 0;

	for (int i = 0; i < group->count; i++) {
		most[i] = bound_of(sum, k, i);
		bytes += most[i];
	}
	coll_round_begin(round, exchange->env.net, group, exchange_way(group, bytes), k, most,
			 most);
	return round;
}

static int decode(const struct sum *sum, struct coll_round *round, int from,
		  const struct vector *segment, struct error *err)
{
	size_t length;
	const unsigned char *message = coll_round_take(round, from, &length, err);

	if (!message)
		return -1;
	return exchange_decode(sum->exchange, segment->group->ranks[from], message, length,
			       segment->offset, segment->x, segment->count, err);
}

/* Adds what comes of segment k of this rank's slice to its own, or to its votes, in the order in
 * which it comes if all are alike, and encodes the sum. */
static int add(const struct sum *sum, size_t k, struct error *err)
{
	struct coll_round *slices = sum->exchange->slices[k % EXCHANGE_DEPTH];
	struct coll_round *sums = begin_sums(sum, k);
	int n = sum->vector->group->count, mine = sum->vector->group->index;
	struct vector own = segment_of(sum, &sum->due, k, mine);

	exchange_make_room(sum->exchange, bound_of(sum, k, mine));
	if (coder_cast_votes(sum->exchange->coder, own.offset, own.x, own.count,
			     sum->exchange->message, err) < 0)
		return -1;
	for (int distance = 1; distance < n && own.count; distance++)
		if (decode(sum, slices, member_after(sum, -distance), &own, err) < 0)
			return -1;
	if (own.count && encode(sum, &own, sums, mine, err) < 0)
		return -1;
	return coll_round_end(slices, err);
}

/* Segments k of all slices become what their owners say. */
static int collect(const struct sum *sum, size_t k, struct error *err)
{
	struct coll_round *round = sum->exchange->sums[k % EXCHANGE_DEPTH];

	for (int distance = 0; distance < sum->vector->group->count; distance++) {
		int owner = member_after(sum, -distance);
		struct vector segment = segment_of(sum, sum->vector, k, owner);

		memset(segment.x, 0, segment.count * sizeof(*segment.x));
		if (segment.count && decode(sum, round, owner, &segment, err) < 0)
			return -1;
	}
	return coll_round_end(round, err);
}

static int run(const struct sum *sum, struct error *err)
{
	if (scatter(sum, 0, err) < 0)
		return -1;
	for (size_t k = 0; k < sum->segments; k++)
		if ((k + 1 < sum->segments && scatter(sum, k + 1, err) < 0) ||
		    add(sum, k, err) < 0 || (k > 0 && collect(sum, k - 1, err) < 0))
			return -1;
	return collect(sum, sum->segments - 1, err);
}

int exchange_owners(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	struct sum sum = { .exchange = exchange, .vector = vector, .due = *vector };
	size_t longest;

	slice_start(vector->count, (size_t)vector->group->count, 0, &longest);
	sum.segments = slice_pieces(longest, EXCHANGE_SEGMENT);
	sum.due.x = residual_due(exchange->residual, vector->offset, vector->x, vector->count);
	if (exchange_agree(exchange, vector, sum.due.x, err) < 0)
		return exchange_give_up(exchange, err);
	return run(&sum, err) < 0 ? exchange_give_up(exchange, err) : 0;
}
