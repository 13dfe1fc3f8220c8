/*
 * Updates from one rank to another, which adds up what comes whenever it comes: tensor by tensor,
 * in parts of at most EXCHANGE_SEGMENT numbers, each a length and a message behind a factor. That
 * is 1, but for votes, which nobody counts here: they are signs of one size.
 */
#include "runtime/exchange_way.h"

#include <stdint.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/residual.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

enum { LENGTH = sizeof(uint32_t), HEAD = LENGTH + EXCHANGE_FACTOR };

/* What is left of an update to be cut into parts. */
struct rest {
	const struct exchange *exchange;
	size_t offset, count, span;
};

static bool next_part(struct rest *rest, struct coder_piece *part)
{
	if (!coder_next(rest->exchange->coder, rest->offset, rest->count, &rest->span, part))
		return false;
	if (part->count > EXCHANGE_SEGMENT)
		part->count = EXCHANGE_SEGMENT;
	rest->offset += part->count;
	rest->count -= part->count;
	rest->span--; /* of which something may be left */
	return true;
}

size_t exchange_push_bound(const struct exchange *exchange, size_t offset, size_t count)
{
	struct rest rest = { exchange, offset, count, 0 };
	struct coder_piece part;
	size_t bytes = 0;

	if (!exchange_is_lossy(exchange))
		return count * sizeof(float);
	while (next_part(&rest, &part))
		bytes += HEAD + coder_bound(exchange->coder, part.offset, part.count);
	return bytes;
}

/* The part is at x. Its length; 0 and err. */
static size_t write_part(struct exchange *exchange, const struct coder_piece *part, size_t step,
			 float *x, unsigned char *out, struct error *err)
{
	struct vector due = { .step = step, .offset = part->offset, .count = part->count };
	unsigned char *message = out + LENGTH;
	size_t length;
	uint32_t bytes;

	due.x = residual_due(exchange->residual, due.offset, x, due.count);
	length = exchange_encode_difference(exchange, &due, part->vote != VOTE_NO, exchange->sent,
					    message, err);
	if (length == 0 ||
	    residual_settle(exchange->residual, exchange->coder, message + EXCHANGE_FACTOR,
			    length - EXCHANGE_FACTOR, due.offset, due.count, err) < 0)
		return 0;
	memcpy(x, exchange->sent, due.count * sizeof(*x));
	bytes = (uint32_t)length;
	memcpy(out, &bytes, LENGTH);
	coder_count(exchange->coder, HEAD, 0);
	return LENGTH + length;
}

size_t exchange_push(struct exchange *exchange, const struct exchange_update *update,
		     unsigned char *message, struct error *err)
{
	struct rest rest = { exchange, update->offset, update->count, 0 };
	size_t floats = update->count * sizeof(float), length = 0;
	struct coder_piece part;

	if (!exchange_is_lossy(exchange)) {
		memcpy(message, update->x, floats);
		return floats;
	}
	if (!exchange->sent)
		exchange->sent = xaligned(EXCHANGE_SEGMENT * sizeof(*exchange->sent));
	coder_begin(exchange->coder, update->step, update->offset, update->x, update->count);
	while (next_part(&rest, &part)) {
		size_t bytes = write_part(exchange, &part, update->step,
					  update->x + (part.offset - update->offset),
					  message + length, err);

		if (bytes == 0)
			return 0;
		length += bytes;
	}
	if (update->to != net_rank(exchange->env.net))
		exchange->saved += (int64_t)floats - (int64_t)length;
	return length;
}

/* What is left of the message behind the part; NULL and err. */
static const unsigned char *read_part(const struct exchange *exchange, const struct vector *part,
				      int from, const unsigned char *message,
				      const unsigned char *end, struct error *err)
{
	uint32_t bytes = UINT32_MAX;

	if ((size_t)(end - message) >= LENGTH)
		memcpy(&bytes, message, LENGTH);
	if ((size_t)(end - message) < LENGTH || bytes > (size_t)(end - message) - LENGTH) {
		error_set(err, "rank %d: an update ends too early", from);
		return NULL;
	}
	message += LENGTH;
	if (exchange_decode_difference(exchange, part, from, message, bytes, 1, err) < 0)
		return NULL;
	return message + bytes;
}

const void *exchange_pushed(const struct exchange *exchange, int from, const unsigned char *message,
			    size_t length, size_t offset, float *y, size_t count, struct error *err)
{
	struct rest rest = { exchange, offset, count, 0 };
	const unsigned char *next = message, *end = message + length;
	struct coder_piece part;

	if (!exchange_is_lossy(exchange)) {
		if (length == count * sizeof(float))
			return message;
		error_set(err, "rank %d: an update of %zu bytes in place of %zu", from, length,
			  count * sizeof(float));
		return NULL;
	}
	memset(y, 0, count * sizeof(*y));
	while (next && next_part(&rest, &part)) {
		struct vector sum = { .offset = part.offset,
				      .x = y + (part.offset - offset),
				      .count = part.count };

		next = read_part(exchange, &sum, from, next, end, err);
	}
	if (next && next != end)
		error_set(err, "rank %d: an update is too long", from);
	return next == end ? y : NULL;
}
