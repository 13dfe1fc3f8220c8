/* Parts of a block as messages, tensor by tensor. */
#include "runtime/coder.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/registry.h"
#include "runtime/compress/compress.h"

enum { PREFIX = sizeof(uint32_t) }; /* before each span's payload: its length */

/* What adapt is shown of the step before, in floats beside its state: a resumed run sees the same.
 */
enum { KEPT_COUNT, KEPT_NORM2, KEPT_NORM_INF, KEPT_MEAN_ABS, KEPT_DEVIATION, KEPT };

/* Sums over the vectors of a step. */
struct moments {
	size_t count;
	double sum, squares, sizes, largest;
};

struct coder {
	struct coder_env env;
	const struct compressor *compressor;
	struct coder_span whole; /* the only one, where env has none */
	float *state;		 /* [state_count + KEPT]; NULL: the scheme does not adapt */
	size_t step;
	bool begun; /* a step, by its first vector */
	struct moments moments;
	uint64_t bytes, coordinates; /* encoded so far */
};

struct coder *coder_new(const struct coder_env *env)
{
	struct coder *coder = xcalloc(1, sizeof(*coder));
	size_t states;

	coder->env = *env;
	coder->compressor = PART_AS(env->compressor, struct compressor);
	coder->whole = (struct coder_span){ "the block", 0, env->count };
	if (!env->spans) {
		coder->env.spans = &coder->whole;
		coder->env.span_count = 1;
	}
	states = coder->compressor->state_count;
	if (states)
		coder->state = xcalloc(states + KEPT, sizeof(*coder->state));
	return coder;
}

void coder_free(struct coder *coder)
{
	if (!coder)
		return;
	free(coder->state);
	free(coder);
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
static void close_step(struct coder *coder)
{
	struct moments *moments = &coder->moments;
	double n = (double)moments->count, mean = moments->sum / n;
	float *kept;

	if (!coder->state || moments->count == 0)
		return;
	kept = coder->state + coder->compressor->state_count;
	kept[KEPT_COUNT] = (float)n;
	kept[KEPT_NORM2] = (float)sqrt(moments->squares);
	kept[KEPT_NORM_INF] = (float)moments->largest;
	kept[KEPT_MEAN_ABS] = (float)(moments->sizes / n);
	kept[KEPT_DEVIATION] = (float)sqrt(fmax(moments->squares / n - mean * mean, 0));
	*moments = (struct moments){ 0 };
}

float *coder_state(struct coder *coder, size_t *count)
{
	close_step(coder);
	*count = coder->state ? coder->compressor->state_count + KEPT : 0;
	return coder->state;
}

static void begin_step(struct coder *coder, size_t step)
{
	const struct compressor *compressor = coder->compressor;

	if (coder->begun && step == coder->step)
		return;
	close_step(coder);
	coder->begun = true;
	coder->step = step;
	if (compressor->adapt) {
		const float *kept = coder->state + compressor->state_count;
		struct compress_step about = { .step = step,
					       .steps = coder->env.steps,
					       .count = (size_t)kept[KEPT_COUNT],
					       .norm2 = (double)kept[KEPT_NORM2],
					       .norm_inf = (double)kept[KEPT_NORM_INF],
					       .mean_abs = (double)kept[KEPT_MEAN_ABS],
					       .deviation = (double)kept[KEPT_DEVIATION] };

		compressor->adapt(coder->env.compressor->params, &about, coder->state);
	}
}

void coder_begin(struct coder *coder, size_t step, const float *x, size_t count)
{
	begin_step(coder, step);
	coder->coordinates += count;
	if (coder->state)
		add_moments(&coder->moments, x, count);
}

struct coder_report coder_report(const struct coder *coder)
{
	return (struct coder_report){
		.bytes = coder->bytes,
		.coordinates = coder->coordinates,
		.level = coder->state ? (double)coder->state[0] : 0,
	};
}

/* The part of a span that lies in block[offset .. offset + count). */
static size_t overlap(const struct coder_span *span, size_t offset, size_t count, size_t *length)
{
	size_t start = span->offset > offset ? span->offset : offset;
	size_t span_end = span->offset + span->count, end = offset + count;

	end = span_end < end ? span_end : end;
	*length = end > start ? end - start : 0;
	return start;
}

size_t coder_bound(const struct coder *coder, size_t offset, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < coder->env.span_count; i++) {
		size_t length;

		overlap(&coder->env.spans[i], offset, count, &length);
		if (length)
			bytes += PREFIX +
				 coder->compressor->bound(coder->env.compressor->params, length);
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

size_t coder_encode(struct coder *coder, size_t offset, const float *x, size_t count,
		    unsigned char *out, struct error *err)
{
	const void *params = coder->env.compressor->params;
	unsigned char *begin = out;

	for (size_t i = 0; i < coder->env.span_count; i++) {
		const struct coder_span *span = &coder->env.spans[i];
		size_t length, start = overlap(span, offset, count, &length);
		struct compress_input input = { .x = x + (start - offset),
						.count = length,
						.state = coder->state };
		uint64_t which = (uint64_t)coder->env.rank << 40 | start;
		uint32_t bytes;

		if (length == 0)
			continue;
		if (!is_finite(input.x, length)) {
			error_set(err, "step %zu: '%s' has a number that is not finite",
				  coder->step, span->name);
			return 0;
		}
		input.rng = rng_make(coder->env.seed, RNG_COMPRESS, which, coder->step);
		bytes = (uint32_t)coder->compressor->encode(params, &input, out + PREFIX);
		memcpy(out, &bytes, PREFIX);
		out += PREFIX + bytes;
	}
	coder->bytes += (uint64_t)(out - begin);
	return (size_t)(out - begin);
}

int coder_decode(const struct coder *coder, const unsigned char *message, size_t length,
		 float scale, size_t offset, float *y, size_t count, struct error *err)
{
	const void *params = coder->env.compressor->params;
	const unsigned char *end = message + length;

	for (size_t i = 0; i < coder->env.span_count; i++) {
		size_t room, start = overlap(&coder->env.spans[i], offset, count, &room);
		uint32_t bytes;

		if (room == 0)
			continue;
		if ((size_t)(end - message) < PREFIX)
			return error_set(err, "a message of %zu bytes ends too early", length);
		memcpy(&bytes, message, PREFIX);
		message += PREFIX;
		if (bytes > (size_t)(end - message))
			return error_set(err, "a message of %zu bytes ends too early", length);
		if (coder->compressor->decode_add(params, message, bytes, scale,
						  y + (start - offset), room, err) < 0)
			return error_prefix(err, "'%s'", coder->env.spans[i].name);
		message += bytes;
	}
	return message == end ? 0 : error_set(err, "a message of %zu bytes is too long", length);
}
