/* Sums of slices: each goes to its owner, who adds up and hands out the sum, encoded again. */
#include "runtime/exchange_way.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/residual.h"
#include "runtime/slice.h"

/* The slice of a member: where it starts in the block. */
static size_t slice_of(const struct vector *vector, int member, size_t *count)
{
	return vector->offset +
	       slice_start(vector->count, (size_t)vector->group->count, (size_t)member, count);
}

/* Encodes the slices of the others, one after the other. */
static int encode_slices(struct exchange *exchange, const struct vector *vector, size_t *starts,
			 size_t *lengths, struct error *err)
{
	float *due = residual_due(exchange->residual, vector->offset, vector->x, vector->count);
	size_t end = 0;

	if (exchange_agree(exchange, vector, due, err) < 0)
		return -1;

	for (int i = 0; i < vector->group->count; i++) {
		size_t count, start = slice_of(vector, i, &count);
		float *x = due + (start - vector->offset);

		starts[i] = end;
		lengths[i] = 0;
		if (i == vector->group->index || count == 0)
			continue;
		lengths[i] = coder_encode(exchange->coder, start, x, count, exchange->message + end,
					  err);
		if (lengths[i] == 0 ||
		    residual_settle(exchange->residual, exchange->coder, exchange->message + end,
				    lengths[i], start, count, err) < 0)
			return -1;
		end += lengths[i];
	}
	return 0;
}

/* Adds what came of this rank's slice to its own, or to its votes, in the group's order, and
 * encodes the sum. */
static int add_slice(struct exchange *exchange, const struct vector *vector,
		     const unsigned char *all, const size_t *starts, const size_t *lengths,
		     size_t *encoded, struct error *err)
{
	const struct group *group = vector->group;
	size_t count, start = slice_of(vector, group->index, &count);
	float *owed = residual_owed(exchange->residual);
	float *x = owed ? owed + start : vector->x + (start - vector->offset);

	*encoded = 0;
	if (coder_cast_votes(exchange->coder, start, x, count, exchange->message, err) < 0)
		return -1;
	for (int i = 0; i < group->count; i++)
		if (i != group->index && count > 0 &&
		    exchange_decode(exchange, group->ranks[i], all + starts[i], lengths[i], start,
				    x, count, err) < 0)
			return -1;
	if (count == 0)
		return 0;
	*encoded = coder_encode_sum(exchange->coder, start, x, count, exchange->message, err);
	return *encoded ? residual_settle(exchange->residual, exchange->coder, exchange->message,
					  *encoded, start, count, err)
			: -1;
}

int exchange_owners(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	const struct group *group = vector->group;
	size_t n = (size_t)group->count, count, start, length, room = 0;
	size_t *starts = exchange->numbers, *lengths = starts + n;
	size_t *got_starts = lengths + n, *got_lengths = got_starts + n;
	unsigned char *parts = NULL, *sums = NULL;
	int status;

	for (size_t i = 0; i < n; i++) {
		start = slice_of(vector, (int)i, &count);
		room += coder_bound(exchange->coder, start, count);
	}
	exchange_make_room(exchange, room);
	status = encode_slices(exchange, vector, starts, lengths, err);
	if (status == 0)
		status = coll_alltoall_bytes(exchange->env.net, group, exchange->message, starts,
					     lengths, &parts, got_starts, got_lengths, err);
	if (status == 0)
		status = add_slice(exchange, vector, parts, got_starts, got_lengths, &length, err);
	if (status == 0)
		status = coll_allgather_bytes(exchange->env.net, group, exchange->message, length,
					      &sums, starts, lengths, err);
	memset(vector->x, 0, vector->count * sizeof(*vector->x));
	for (int i = 0; i < group->count && status == 0; i++) {
		start = slice_of(vector, i, &count);
		status = exchange_decode(exchange, group->ranks[i], sums + starts[i], lengths[i],
					 start, vector->x + (start - vector->offset), count, err);
	}
	free(parts);
	free(sums);
	return status;
}
