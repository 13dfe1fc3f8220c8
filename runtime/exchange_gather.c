/* Sums of whole messages: everybody's vector to everybody. */
#include "runtime/exchange_way.h"

#include <string.h>

#include "runtime/residual.h"
#include "runtime/slice.h"

/* Encodes a segment, and sends it to all. */
static int begin(struct exchange *exchange, const struct exchange_codec *codec,
		 const struct vector *due, size_t k, struct error *err)
{
	const struct group *group = due->group;
	struct coll_round *round = exchange->sums[k % EXCHANGE_DEPTH];
	size_t *most = exchange->numbers, length;

	for (int i = 0; i < group->count; i++)
		most[i] = codec->extra + coder_bound(exchange->coder, due->offset, due->count);
	coll_round_begin(round, exchange->env.net, group,
			 exchange_way(group, (size_t)group->count * most[0]), k, most, most);
	length =
		codec->encode(exchange, due, codec->arg, coll_round_room(round, group->index), err);
	if (length == 0)
		return -1;
	coll_round_send(round, group->index, length);
	return 0;
}

/* Decodes what comes of it, in the group's order. */
static int finish(struct exchange *exchange, const struct exchange_codec *codec,
		  const struct vector *sum, size_t k, struct error *err)
{
	const struct group *group = sum->group;
	struct coll_round *round = exchange->sums[k % EXCHANGE_DEPTH];

	memset(sum->x, 0, sum->count * sizeof(*sum->x));
	for (int i = 0; i < group->count; i++) {
		size_t length;
		const unsigned char *message = coll_round_take(round, i, &length, err);

		if (!message ||
		    codec->decode(exchange, sum, group->ranks[i], message, length, err) < 0)
			return -1;
	}
	return coll_round_end(round, err);
}

int exchange_gather_by(struct exchange *exchange, const struct exchange_codec *codec,
		       const struct vector *due, float *sums, struct error *err)
{
	size_t segments = slice_pieces(due->count, EXCHANGE_SEGMENT);
	struct vector segment, all = *due;

	all.x = sums;
	for (size_t k = 0; k <= segments; k++) {
		segment = exchange_segment(due, segments, k);
		if (k < segments && begin(exchange, codec, &segment, k, err) < 0)
			return exchange_give_up(exchange, err);
		if (k == 0)
			continue;
		segment = exchange_segment(&all, segments, k - 1);
		if (finish(exchange, codec, &segment, k - 1, err) < 0)
			return exchange_give_up(exchange, err);
	}
	return 0;
}

static size_t encode(struct exchange *exchange, const struct vector *due, void *arg,
		     unsigned char *message, struct error *err)
{
	size_t length =
		coder_encode(exchange->coder, due->offset, due->x, due->count, message, err);

	(void)arg;
	if (length == 0 || residual_settle(exchange->residual, exchange->coder, message, length,
					   due->offset, due->count, err) < 0)
		return 0;
	return length;
}

static int decode(struct exchange *exchange, const struct vector *sum, int rank,
		  const unsigned char *message, size_t length, struct error *err)
{
	return exchange_decode(exchange, rank, message, length, sum->offset, sum->x, sum->count,
			       err);
}

int exchange_gather(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	static const struct exchange_codec codec = { .encode = encode, .decode = decode };
	struct vector due = *vector;

	due.x = residual_due(exchange->residual, vector->offset, vector->x, vector->count);
	if (exchange_agree(exchange, vector, due.x, err) < 0)
		return exchange_give_up(exchange, err);
	return exchange_gather_by(exchange, &codec, &due, vector->x, err);
}
