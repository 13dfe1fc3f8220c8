/* The only place where compressors meet the wire: residual, encode, collective, decode. */
#include "runtime/exchange.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/registry.h"
#include "runtime/coder.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_volume.h"
#include "runtime/compress/compress.h"
#include "runtime/device/cpu.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

static const char *const feedbacks[] = { "auto", "none", "classic", NULL };

const struct opt exchange_options[] = {
	{ "feedback", OPT_CHOICE, offsetof(struct exchange_params, feedback), "auto",
	  "what is left out is sent later: where that suits the scheme, never or always",
	  .choices = feedbacks },
	{ 0 }
};

struct exchange {
	struct exchange_env env;
	const struct compressor *compressor;
	struct coder *coder;
	float *residual;	/* [env.count], or NULL */
	float *difference;	/* [2 * env.count], of exchange_average, and what was sent of it */
	unsigned char *message; /* as long as the longest so far needs */
	size_t room;
	size_t *numbers; /* [4 * world]: starts and lengths, out and in */
	int64_t saved;	 /* bytes: see exchange_saved */
};

/* One vector of a step. */
struct vector {
	const struct group *group;
	size_t step, offset;
	float *x;
	size_t count;
};

bool exchange_is_lossy(const struct exchange *exchange)
{
	return exchange->compressor->payload != PAYLOAD_SUMS;
}

static bool has_feedback(const struct exchange *exchange)
{
	int feedback = exchange->env.params.feedback;

	if (!exchange_is_lossy(exchange))
		return false;
	return feedback == FEEDBACK_AUTO ? exchange->compressor->feedback
					 : feedback == FEEDBACK_CLASSIC;
}

struct exchange *exchange_new(const struct exchange_env *env)
{
	struct exchange *exchange = xcalloc(1, sizeof(*exchange));
	struct coder_env coder = env->coder;

	coder.compressor = env->compressor;
	coder.rank = net_rank(env->net);
	coder.count = env->count;
	exchange->env = *env;
	exchange->compressor = PART_AS(env->compressor, struct compressor);
	exchange->coder = coder_new(&coder);
	if (has_feedback(exchange))
		exchange->residual = xaligned(env->count * sizeof(*exchange->residual));
	exchange->numbers = xcalloc(4 * (size_t)net_world(env->net), sizeof(size_t));
	return exchange;
}

void exchange_free(struct exchange *exchange)
{
	if (!exchange)
		return;
	free(exchange->residual);
	coder_free(exchange->coder);
	free(exchange->difference);
	free(exchange->message);
	free(exchange->numbers);
	free(exchange);
}

float *exchange_residual(struct exchange *exchange)
{
	return exchange->residual;
}

struct coder *exchange_coder(struct exchange *exchange)
{
	return exchange->coder;
}

/* What a peer sent is decoded into y, or added to it. */
static int decode_from(const struct exchange *exchange, int rank, const unsigned char *message,
		       size_t length, size_t offset, float *y, size_t count, struct error *err)
{
	if (coder_decode(exchange->coder, message, length, 1, offset, y, count, err) < 0)
		return error_prefix(err, "rank %d", rank);
	return 0;
}

/* Takes what was sent out of what is owed. A value that overflowed stays out of it: one bad step
 * must not spoil all later ones. */
static int settle(struct exchange *exchange, const unsigned char *message, size_t length,
		  size_t offset, size_t count, struct error *err)
{
	float *residual = exchange->residual;

	if (!residual)
		return 0;
	residual += offset;
	if (coder_decode(exchange->coder, message, length, -1, offset, residual, count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		residual[i] = isfinite(residual[i]) ? residual[i] : 0;
	return 0;
}

/* What is owed of block[offset ..) with x added to it: where feedback has it, or x itself. */
static float *due(struct exchange *exchange, size_t offset, float *x, size_t count)
{
	if (!exchange->residual)
		return x;
	cpu_add(exchange->residual + offset, x, count);
	return exchange->residual + offset;
}

static void make_room(struct exchange *exchange, size_t bytes)
{
	if (bytes <= exchange->room)
		return;
	free(exchange->message);
	exchange->message = xmalloc(bytes);
	exchange->room = bytes;
}

/* Everybody's vector to everybody. */
static int sum_by_all(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	const struct group *group = vector->group;
	size_t *starts = exchange->numbers, *lengths = starts + group->count;
	float *x = due(exchange, vector->offset, vector->x, vector->count);
	unsigned char *all = NULL;
	size_t length;
	int status;

	make_room(exchange, coder_bound(exchange->coder, vector->offset, vector->count));
	length = coder_encode(exchange->coder, vector->offset, x, vector->count, exchange->message,
			      err);
	status = length ? settle(exchange, exchange->message, length, vector->offset, vector->count,
				 err)
			: -1;
	if (status == 0)
		status = coll_allgather_bytes(exchange->env.net, group, exchange->message, length,
					      &all, starts, lengths, err);
	memset(vector->x, 0, vector->count * sizeof(*vector->x));
	for (int i = 0; i < group->count && status == 0; i++)
		status = decode_from(exchange, group->ranks[i], all + starts[i], lengths[i],
				     vector->offset, vector->x, vector->count, err);
	free(all);
	return status;
}

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
	size_t end = 0;

	for (int i = 0; i < vector->group->count; i++) {
		size_t count, start = slice_of(vector, i, &count);
		float *x = due(exchange, start, vector->x + (start - vector->offset), count);

		starts[i] = end;
		lengths[i] = 0;
		if (i == vector->group->index || count == 0)
			continue;
		lengths[i] = coder_encode(exchange->coder, start, x, count, exchange->message + end,
					  err);
		if (lengths[i] == 0 ||
		    settle(exchange, exchange->message + end, lengths[i], start, count, err) < 0)
			return -1;
		end += lengths[i];
	}
	return 0;
}

/* Adds what came of this rank's slice to its own, in the group's order, and encodes the sum. */
static int add_slice(struct exchange *exchange, const struct vector *vector,
		     const unsigned char *all, const size_t *starts, const size_t *lengths,
		     size_t *encoded, struct error *err)
{
	const struct group *group = vector->group;
	size_t count, start = slice_of(vector, group->index, &count);
	float *x = exchange->residual ? exchange->residual + start
				      : vector->x + (start - vector->offset);

	*encoded = 0;
	for (int i = 0; i < group->count; i++)
		if (i != group->index && count > 0 &&
		    decode_from(exchange, group->ranks[i], all + starts[i], lengths[i], start, x,
				count, err) < 0)
			return -1;
	if (count == 0)
		return 0;
	*encoded = coder_encode(exchange->coder, start, x, count, exchange->message, err);
	return *encoded ? settle(exchange, exchange->message, *encoded, start, count, err) : -1;
}

/* Slices to their owners, and sums to everybody. */
static int sum_by_owners(struct exchange *exchange, const struct vector *vector, struct error *err)
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
	make_room(exchange, room);
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
		status = decode_from(exchange, group->ranks[i], sums + starts[i], lengths[i], start,
				     vector->x + (start - vector->offset), count, err);
	}
	free(parts);
	free(sums);
	return status;
}

/* Are sums of slices cheaper than everything to everybody? They cost two more messages and fewer
 * bytes; the same on all members. */
static bool has_owners(const struct exchange *exchange, const struct vector *vector)
{
	const struct coll_cost *cost =
		vector->group->cost ? vector->group->cost : &coll_cost_default;
	double n = vector->group->count;
	double bytes = (double)coder_bound(exchange->coder, vector->offset, vector->count);

	return (n - 1) * (1 - 2 / n) * bytes * cost->beta_s > 2 * cost->alpha_s;
}

/* Before and after a vector travels compressed. */
static void count_dense(struct exchange *exchange, const struct vector *vector)
{
	const struct exchange_env *env = &exchange->env;

	exchange->saved += (int64_t)(net_payload_sent(env->net) +
				     coll_allreduce_volume(env->net, vector->group, env->algorithm,
							   vector->count));
}

static void count_sent(struct exchange *exchange)
{
	exchange->saved -= (int64_t)net_payload_sent(exchange->env.net);
}

int64_t exchange_saved(const struct exchange *exchange)
{
	return exchange->saved;
}

static int sum_opaque(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	coder_begin(exchange->coder, vector->step, vector->x, vector->count);
	return has_owners(exchange, vector) ? sum_by_owners(exchange, vector, err)
					    : sum_by_all(exchange, vector, err);
}

int exchange_sum(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		 float *x, size_t count, struct error *err)
{
	struct vector vector = {
		.group = group, .step = step, .offset = offset, .x = x, .count = count
	};

	if (group->count == 1 || count == 0)
		return 0;
	if (!exchange_is_lossy(exchange))
		return coll_allreduce(exchange->env.net, group, exchange->env.algorithm, x, count,
				      err);
	assert(offset <= exchange->env.count && count <= exchange->env.count - offset);
	count_dense(exchange, &vector);
	if (sum_opaque(exchange, &vector, err) < 0)
		return -1;
	count_sent(exchange);
	return 0;
}

int exchange_mean(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		  float *x, size_t count, struct error *err)
{
	if (exchange_sum(exchange, group, step, offset, x, count, err) < 0)
		return -1;
	cpu_scale(x, 1 / (float)group->count, count);
	return 0;
}

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

/* Encodes the difference behind the factor that goes with it, and takes both out of x. The length;
 * 0 and err. */
static size_t send_off(struct exchange *exchange, const struct vector *difference, float *x,
		       struct error *err)
{
	size_t count = difference->count, length;
	float *sent = exchange->difference + count, factor;
	unsigned char *message;

	make_room(exchange, sizeof(factor) + coder_bound(exchange->coder, 0, count));
	message = exchange->message + sizeof(factor);
	length = coder_encode(exchange->coder, 0, difference->x, count, message, err);
	memset(sent, 0, count * sizeof(*sent));
	if (length == 0 ||
	    coder_decode(exchange->coder, message, length, 1, 0, sent, count, err) < 0)
		return 0;
	factor = nearest(difference->x, sent, count);
	memcpy(exchange->message, &factor, sizeof(factor));
	for (size_t i = 0; i < count; i++)
		x[i] -= factor * sent[i];
	return sizeof(factor) + length;
}

static int add_difference(struct exchange *exchange, const struct vector *difference, int rank,
			  const unsigned char *message, size_t length, struct error *err)
{
	float factor = 0;

	if (length >= sizeof(factor))
		memcpy(&factor, message, sizeof(factor));
	if (length < sizeof(factor) || !isfinite(factor))
		return error_set(err, "rank %d: a malformed difference", rank);
	if (coder_decode(exchange->coder, message + sizeof(factor), length - sizeof(factor), factor,
			 0, difference->x, difference->count, err) < 0)
		return error_prefix(err, "rank %d", rank);
	return 0;
}

/* The difference's sum over the group takes its place; what this rank sent of it leaves x. */
static int sum_differences(struct exchange *exchange, const struct vector *difference, float *x,
			   struct error *err)
{
	const struct group *group = difference->group;
	size_t *starts = exchange->numbers, *lengths = starts + group->count, length;
	unsigned char *all = NULL;
	int status;

	coder_begin(exchange->coder, difference->step, difference->x, difference->count);
	length = send_off(exchange, difference, x, err);
	status = length ? coll_allgather_bytes(exchange->env.net, group, exchange->message, length,
					       &all, starts, lengths, err)
			: -1;
	memset(difference->x, 0, difference->count * sizeof(*difference->x));
	for (int i = 0; i < group->count && status == 0; i++)
		status = add_difference(exchange, difference, group->ranks[i], all + starts[i],
					lengths[i], err);
	free(all);
	return status;
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
	count_dense(exchange, &difference);
	if (sum_differences(exchange, &difference, x, err) < 0)
		return -1;
	count_sent(exchange);
	cpu_scale(difference.x, 1 / (float)group->count, count);
	cpu_add(x, difference.x, count);
	cpu_add(reference, difference.x, count);
	return 0;
}
