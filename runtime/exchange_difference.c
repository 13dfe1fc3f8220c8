/* Averages of weights by differences to a reference. */
#include "runtime/exchange_way.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/cpu.h"

/* The factor by which `sent` comes nearest to x, so that no difference ever grows: payloads that
 * are right on average may be larger than what they stand for. */
static float nearest(const float *x, const float *sent, size_t count)
{
	double both = 0, square = 0;

	for (size_t i = 0; i < count; i++) {
		both += (double)x[i] * (double)sent[i];
		square += (double)sent[i] * (double)sent[i];
	}
	return square > 0 && both > 0 ? (float)(both / square) : 0;
}

size_t exchange_encode_difference(struct exchange *exchange, const struct vector *difference,
				  bool sized, float *sent, unsigned char *message,
				  struct error *err)
{
	size_t count = difference->count, offset = difference->offset, length;
	unsigned char *payload = message + EXCHANGE_FACTOR;
	float factor;

	length = coder_encode(exchange->coder, offset, difference->x, count, payload, err);
	memset(sent, 0, count * sizeof(*sent));
	if (length == 0 ||
	    coder_decode(exchange->coder, payload, length, 1, offset, sent, count, err) < 0)
		return 0;
	factor = sized ? nearest(difference->x, sent, count) : 1;
	memcpy(message, &factor, sizeof(factor));
	cpu_scale(sent, factor, count);
	return EXCHANGE_FACTOR + length;
}

int exchange_decode_difference(const struct exchange *exchange, const struct vector *sum, int rank,
			       const unsigned char *message, size_t length, float weight,
			       struct error *err)
{
	float factor = 0;

	if (length >= sizeof(factor))
		memcpy(&factor, message, sizeof(factor));
	if (length < sizeof(factor) || !isfinite(factor))
		return error_set(err, "rank %d: a malformed difference", rank);
	if (coder_decode(exchange->coder, message + sizeof(factor), length - sizeof(factor),
			 weight * factor, sum->offset, sum->x, sum->count, err) < 0)
		return error_prefix(err, "rank %d", rank);
	return 0;
}

/* Encodes the difference, and takes what is sent of it out of the weights. */
static size_t send_off(struct exchange *exchange, const struct vector *difference, void *weights,
		       unsigned char *message, struct error *err)
{
	float *sent = exchange->difference + exchange->env.count;
	float *x = (float *)weights + difference->offset;
	size_t length = exchange_encode_difference(exchange, difference, true, sent, message, err);

	for (size_t i = 0; i < difference->count && length; i++)
		x[i] -= sent[i];
	return length;
}

static int add_difference(struct exchange *exchange, const struct vector *sum, int rank,
			  const unsigned char *message, size_t length, struct error *err)
{
	return exchange_decode_difference(exchange, sum, rank, message, length, 1, err);
}

/* The difference's sum over the group takes its place; what this rank sent of it leaves x. */
static int sum_differences(struct exchange *exchange, const struct vector *difference, float *x,
			   struct error *err)
{
	const struct exchange_codec codec = {
		.arg = x, .extra = EXCHANGE_FACTOR, .encode = send_off, .decode = add_difference
	};

	return exchange_gather_by(exchange, &codec, difference, difference->x, err);
}

/* The same of a vector of which some may travel as factors. */
static int sum_all(struct exchange *exchange, const struct vector *difference, float *x,
		   struct error *err)
{
	struct vector run;
	size_t span = 0;

	coder_begin(exchange->coder, difference->step, 0, difference->x, difference->count);
	if (exchange->factors && exchange_factors(exchange, difference, x, err) < 0)
		return -1;
	while (exchange_next_opaque(exchange, difference, &span, &run))
		if (sum_differences(exchange, &run, x, err) < 0)
			return -1;
	return 0;
}

int exchange_average(struct exchange *exchange, const struct group *group, size_t step, float *x,
		     float *reference, struct error *err)
{
	size_t count = exchange->env.count;
	struct vector difference = { .group = group, .step = step, .count = count };

	if (!exchange_is_lossy(exchange))
		return exchange_mean(exchange, group, step, 0, x, count, err);
	if (group->count == 1)
		return 0;
	if (!exchange->difference)
		exchange->difference = xaligned(2 * count * sizeof(*exchange->difference));
	difference.x = exchange->difference;
	for (size_t i = 0; i < count; i++)
		difference.x[i] = x[i] - reference[i];
	exchange_count_dense(exchange, &difference);
	if (sum_all(exchange, &difference, x, err) < 0)
		return -1;
	exchange_count_sent(exchange);
	cpu_scale(difference.x, 1 / (float)group->count, count);
	cpu_add(x, difference.x, count);
	cpu_add(reference, difference.x, count);
	return 0;
}
