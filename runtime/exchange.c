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
#include "runtime/coll_cost.h"
#include "runtime/compress/compress.h"
#include "runtime/device/cpu.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

enum { PREFIX = sizeof(uint32_t) }; /* before each span's payload: its length */

/* What adapt is shown of the step before, in floats beside its state: a resumed run sees the same.
 */
enum { KEPT_COUNT, KEPT_NORM2, KEPT_NORM_INF, KEPT_MEAN_ABS, KEPT_DEVIATION, KEPT };

static const char *const feedbacks[] = { "auto", "none", "classic", NULL };

const struct opt exchange_options[] = {
	{ "feedback", OPT_CHOICE, offsetof(struct exchange_params, feedback), "auto",
	  "what is left out is sent later: where the scheme is biased, never or always",
	  .choices = feedbacks },
	{ 0 }
};

/* Sums over the vectors of a step. */
struct moments {
	size_t count;
	double sum, squares, sizes, largest;
};

struct exchange {
	struct exchange_env env;
	const struct compressor *compressor;
	struct exchange_span whole; /* the only one, where env has none */
	float *residual;	    /* [env.count], or NULL */
	float *state;		    /* [state_count + KEPT]; NULL: the scheme does not adapt */
	unsigned char *message;	    /* as long as the longest so far needs */
	size_t room;
	size_t *numbers; /* [4 * world]: starts and lengths, out and in */
	size_t step;
	bool begun; /* a step, by its first vector */
	struct moments moments;
	double bytes, coordinates; /* encoded in the step */
};

/* One vector of a step. */
struct vector {
	const struct group *group;
	size_t step, offset;
	float *x;
	size_t count;
};

static bool has_feedback(const struct exchange *exchange)
{
	int feedback = exchange->env.params.feedback;

	if (exchange->compressor->payload == PAYLOAD_SUMS)
		return false;
	return feedback == FEEDBACK_AUTO ? exchange->compressor->biased
					 : feedback == FEEDBACK_CLASSIC;
}

struct exchange *exchange_new(const struct exchange_env *env)
{
	struct exchange *exchange = xcalloc(1, sizeof(*exchange));
	size_t states;

	exchange->env = *env;
	exchange->compressor = PART_AS(env->compressor, struct compressor);
	exchange->whole = (struct exchange_span){ "the block", 0, env->count };
	if (!env->spans) {
		exchange->env.spans = &exchange->whole;
		exchange->env.span_count = 1;
	}
	states = exchange->compressor->state_count;
	if (states)
		exchange->state = xcalloc(states + KEPT, sizeof(*exchange->state));
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
	free(exchange->state);
	free(exchange->message);
	free(exchange->numbers);
	free(exchange);
}

float *exchange_residual(struct exchange *exchange)
{
	return exchange->residual;
}

static void add_moments(struct moments *moments, const float *x, size_t count)
{
	double sum = 0, squares = 0, sizes = 0;
	float largest = 0;

	for (size_t i = 0; i < count; i++) {
		sum += (double)x[i];
		squares += (double)x[i] * (double)x[i];
		sizes += (double)fabsf(x[i]);
		largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
	}
	moments->count += count;
	moments->sum += sum;
	moments->squares += squares;
	moments->sizes += sizes;
	moments->largest = fmax(moments->largest, (double)largest);
}

/* What the step's vectors were becomes what the next one is shown. */
static void close_step(struct exchange *exchange)
{
	struct moments *moments = &exchange->moments;
	double n = (double)moments->count, mean = moments->sum / n;
	float *kept;

	if (!exchange->state || moments->count == 0)
		return;
	kept = exchange->state + exchange->compressor->state_count;
	kept[KEPT_COUNT] = (float)n;
	kept[KEPT_NORM2] = (float)sqrt(moments->squares);
	kept[KEPT_NORM_INF] = (float)moments->largest;
	kept[KEPT_MEAN_ABS] = (float)(moments->sizes / n);
	kept[KEPT_DEVIATION] = (float)sqrt(fmax(moments->squares / n - mean * mean, 0));
	*moments = (struct moments){ 0 };
}

float *exchange_state(struct exchange *exchange, size_t *count)
{
	close_step(exchange);
	*count = exchange->state ? exchange->compressor->state_count + KEPT : 0;
	return exchange->state;
}

static void begin_step(struct exchange *exchange, size_t step)
{
	const struct compressor *compressor = exchange->compressor;

	if (exchange->begun && step == exchange->step)
		return;
	close_step(exchange);
	exchange->begun = true;
	exchange->step = step;
	exchange->bytes = exchange->coordinates = 0;
	if (compressor->adapt) {
		const float *kept = exchange->state + compressor->state_count;
		struct compress_step about = { .step = step,
					       .steps = exchange->env.steps,
					       .count = (size_t)kept[KEPT_COUNT],
					       .norm2 = (double)kept[KEPT_NORM2],
					       .norm_inf = (double)kept[KEPT_NORM_INF],
					       .mean_abs = (double)kept[KEPT_MEAN_ABS],
					       .deviation = (double)kept[KEPT_DEVIATION] };

		compressor->adapt(exchange->env.compressor->params, &about, exchange->state);
	}
}

struct exchange_report exchange_report(const struct exchange *exchange)
{
	double coordinates = exchange->coordinates;

	return (struct exchange_report){
		.bits = coordinates > 0 ? 8 * exchange->bytes / coordinates : 0,
		.level = exchange->state ? (double)exchange->state[0] : 0,
	};
}

/* The part of a span that lies in block[offset .. offset + count). */
static size_t overlap(const struct exchange_span *span, size_t offset, size_t count, size_t *length)
{
	size_t start = span->offset > offset ? span->offset : offset;
	size_t span_end = span->offset + span->count, end = offset + count;

	end = span_end < end ? span_end : end;
	*length = end > start ? end - start : 0;
	return start;
}

/* The most bytes that block[offset .. offset + count) can need: on all members the same. */
static size_t bound(const struct exchange *exchange, size_t offset, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < exchange->env.span_count; i++) {
		size_t length;

		overlap(&exchange->env.spans[i], offset, count, &length);
		if (length)
			bytes += PREFIX + exchange->compressor->bound(
						  exchange->env.compressor->params, length);
	}
	return bytes;
}

static bool is_finite(const float *x, size_t count)
{
	uint32_t largest = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		bits &= 0x7fffffff;
		largest = bits > largest ? bits : largest;
	}
	return largest < 0x7f800000;
}

/* Encodes block[offset .. offset + count), which is at x, to `out`. Returns the length; 0 and err
 * if some of it is not finite. */
static size_t encode(struct exchange *exchange, size_t offset, const float *x, size_t count,
		     unsigned char *out, struct error *err)
{
	const void *params = exchange->env.compressor->params;
	unsigned char *begin = out;

	for (size_t i = 0; i < exchange->env.span_count; i++) {
		const struct exchange_span *span = &exchange->env.spans[i];
		size_t length, start = overlap(span, offset, count, &length);
		struct compress_input input = { .x = x + (start - offset),
						.count = length,
						.state = exchange->state };
		uint64_t which = (uint64_t)net_rank(exchange->env.net) << 40 | start;
		uint32_t bytes;

		if (length == 0)
			continue;
		if (!is_finite(input.x, length)) {
			error_set(err, "step %zu: '%s' has a number that is not finite",
				  exchange->step, span->name);
			return 0;
		}
		input.rng = rng_make(exchange->env.seed, RNG_COMPRESS, which, exchange->step);
		bytes = (uint32_t)exchange->compressor->encode(params, &input, out + PREFIX);
		memcpy(out, &bytes, PREFIX);
		out += PREFIX + bytes;
	}
	exchange->bytes += (double)(out - begin);
	return (size_t)(out - begin);
}

/* y[count], which is block[offset ..), gains scale * what a message says. */
static int decode(const struct exchange *exchange, const unsigned char *message, size_t length,
		  float scale, size_t offset, float *y, size_t count, struct error *err)
{
	const void *params = exchange->env.compressor->params;
	const unsigned char *end = message + length;

	for (size_t i = 0; i < exchange->env.span_count; i++) {
		size_t room, start = overlap(&exchange->env.spans[i], offset, count, &room);
		uint32_t bytes;

		if (room == 0)
			continue;
		if ((size_t)(end - message) < PREFIX)
			return error_set(err, "a message of %zu bytes ends too early", length);
		memcpy(&bytes, message, PREFIX);
		message += PREFIX;
		if (bytes > (size_t)(end - message))
			return error_set(err, "a message of %zu bytes ends too early", length);
		if (exchange->compressor->decode_add(params, message, bytes, scale,
						     y + (start - offset), room, err) < 0)
			return error_prefix(err, "'%s'", exchange->env.spans[i].name);
		message += bytes;
	}
	return message == end ? 0 : error_set(err, "a message of %zu bytes is too long", length);
}

/* What a peer sent is decoded into y, or added to it. */
static int decode_from(const struct exchange *exchange, int rank, const unsigned char *message,
		       size_t length, size_t offset, float *y, size_t count, struct error *err)
{
	if (decode(exchange, message, length, 1, offset, y, count, err) < 0)
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
	if (decode(exchange, message, length, -1, offset, residual, count, err) < 0)
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

	make_room(exchange, bound(exchange, vector->offset, vector->count));
	length = encode(exchange, vector->offset, x, vector->count, exchange->message, err);
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
		lengths[i] = encode(exchange, start, x, count, exchange->message + end, err);
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
	*encoded = encode(exchange, start, x, count, exchange->message, err);
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
		room += bound(exchange, start, count);
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
	double bytes = (double)bound(exchange, vector->offset, vector->count);

	return (n - 1) * (1 - 2 / n) * bytes * cost->beta_s > 2 * cost->alpha_s;
}

static int sum_opaque(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	begin_step(exchange, vector->step);
	exchange->coordinates += (double)vector->count;
	if (exchange->state)
		add_moments(&exchange->moments, vector->x, vector->count);
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
	if (exchange->compressor->payload == PAYLOAD_SUMS)
		return coll_allreduce(exchange->env.net, group, exchange->env.algorithm, x, count,
				      err);
	assert(offset <= exchange->env.count && count <= exchange->env.count - offset);
	return sum_opaque(exchange, &vector, err);
}

int exchange_mean(struct exchange *exchange, const struct group *group, size_t step, size_t offset,
		  float *x, size_t count, struct error *err)
{
	if (exchange_sum(exchange, group, step, offset, x, count, err) < 0)
		return -1;
	cpu_scale(x, 1 / (float)group->count, count);
	return 0;
}
