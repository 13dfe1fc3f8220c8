/* Parts of a block as messages, tensor by tensor. */
#include "runtime/coder.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/registry.h"
#include "runtime/compress/codes.h"
#include "runtime/compress/rules.h"
#include "runtime/compress/votes.h"
#include "runtime/device/cpu.h"

enum { PREFIX = sizeof(uint32_t) }; /* before each span's payload: its length */

/* What adapt is shown of the step before, in floats beside its state: a resumed run sees the same.
 */
enum { KEPT_COUNT, KEPT_NORM2, KEPT_NORM_INF, KEPT_MEAN_ABS, KEPT_DEVIATION, KEPT };

/* Sums over the vectors of a step. */
struct moments {
	size_t count;
	double sum, squares, sizes, largest;
};

enum { OF_ALL, EXACT, FIRST_RULE }; /* schemes of a coder */

/* Of some tensors. */
struct scheme {
	const struct part *part;
	const struct compressor *compressor;
	float *state; /* [state_count + KEPT], in coder.states; NULL: the scheme does not adapt */
	struct moments moments;
	enum vote vote;
};

struct coder {
	struct coder_env env;
	struct coder_span whole; /* the only one, where env has none */
	struct part exact;
	struct scheme *schemes; /* [scheme_count]: of all, of what is exact, of rules */
	size_t scheme_count;
	struct scheme **scheme_of; /* [span_count] */
	float *largest;		   /* [span_count] as agreed on for the vector under way */
	double *norms;		   /* [span_count] of it */
	float *states;		   /* [state_count]; NULL: none */
	size_t state_count;
	size_t step;
	bool begun;		     /* a step, by its first vector */
	uint64_t bytes, coordinates; /* encoded so far */
};

static struct scheme scheme_of(const struct part *part)
{
	const struct compressor *compressor = PART_AS(part, struct compressor);

	return (struct scheme){ .part = part,
				.compressor = compressor,
				.vote = compressor->vote ? compressor->vote(part->params)
							 : VOTE_NO };
}

static size_t states_of(const struct scheme *scheme)
{
	size_t count = scheme->compressor->state_count;

	return count ? count + KEPT : 0;
}

static void make_schemes(struct coder *coder)
{
	const struct compress_rules *rules = coder->env.rules;
	size_t at = 0;

	coder->scheme_count = FIRST_RULE + (rules ? rules->count : 0);
	coder->schemes = xcalloc(coder->scheme_count, sizeof(*coder->schemes));
	coder->exact = part_default(&compressors, "none");
	coder->schemes[OF_ALL] = scheme_of(coder->env.compressor);
	coder->schemes[EXACT] = scheme_of(&coder->exact);
	for (size_t i = FIRST_RULE; i < coder->scheme_count; i++)
		coder->schemes[i] = scheme_of(&rules->items[i - FIRST_RULE].scheme);
	for (size_t i = 0; i < coder->scheme_count; i++)
		coder->state_count += states_of(&coder->schemes[i]);
	if (coder->state_count)
		coder->states = xcalloc(coder->state_count, sizeof(*coder->states));
	for (size_t i = 0; i < coder->scheme_count; i++) {
		size_t count = states_of(&coder->schemes[i]);

		coder->schemes[i].state = count ? coder->states + at : NULL;
		at += count;
	}
}

static struct scheme *scheme_for(struct coder *coder, const struct coder_span *span)
{
	const struct compress_rules *rules = coder->env.rules;
	const struct compress_rule *rule = NULL;

	if (span->exact)
		return &coder->schemes[EXACT];
	if (rules)
		rule = compress_rules_find(rules, span->name);
	return &coder->schemes[rule ? FIRST_RULE + (size_t)(rule - rules->items) : OF_ALL];
}

struct coder *coder_new(const struct coder_env *env)
{
	struct coder *coder = xcalloc(1, sizeof(*coder));

	coder->env = *env;
	coder->whole = (struct coder_span){ .name = "the block", .count = env->count };
	if (!env->spans) {
		coder->env.spans = &coder->whole;
		coder->env.span_count = 1;
	}
	make_schemes(coder);
	coder->scheme_of = xcalloc(coder->env.span_count, sizeof(struct scheme *));
	coder->largest = xcalloc(coder->env.span_count, sizeof(*coder->largest));
	coder->norms = xcalloc(coder->env.span_count, sizeof(*coder->norms));
	for (size_t i = 0; i < coder->env.span_count; i++)
		coder->scheme_of[i] = scheme_for(coder, &coder->env.spans[i]);
	return coder;
}

void coder_free(struct coder *coder)
{
	if (!coder)
		return;
	part_release(&coder->exact);
	free(coder->schemes);
	free(coder->scheme_of);
	free(coder->largest);
	free(coder->norms);
	free(coder->states);
	free(coder);
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

bool coder_next(const struct coder *coder, size_t offset, size_t count, size_t *span,
		struct coder_piece *piece)
{
	for (; *span < coder->env.span_count; ++*span) {
		const struct scheme *scheme = coder->scheme_of[*span];

		piece->span = &coder->env.spans[*span];
		piece->offset = overlap(piece->span, offset, count, &piece->count);
		piece->compressor = scheme->compressor;
		piece->params = scheme->part->params;
		piece->vote = scheme->vote;
		if (piece->count) {
			++*span;
			return true;
		}
	}
	return false;
}

bool coder_is_lossy(const struct coder *coder, size_t offset, size_t count)
{
	struct coder_piece piece;
	size_t span = 0;

	if (coder->scheme_count == FIRST_RULE && /* the vector may then lie anywhere */
	    coder->schemes[OF_ALL].compressor->payload == PAYLOAD_SUMS)
		return false;
	while (coder_next(coder, offset, count, &span, &piece))
		if (piece.compressor->payload != PAYLOAD_SUMS)
			return true;
	return false;
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
static void close_step(struct scheme *scheme)
{
	struct moments *moments = &scheme->moments;
	double n = (double)moments->count, mean = moments->sum / n;
	float *kept;

	if (!scheme->state || moments->count == 0)
		return;
	kept = scheme->state + scheme->compressor->state_count;
	kept[KEPT_COUNT] = (float)n;
	kept[KEPT_NORM2] = (float)sqrt(moments->squares);
	kept[KEPT_NORM_INF] = (float)moments->largest;
	kept[KEPT_MEAN_ABS] = (float)(moments->sizes / n);
	kept[KEPT_DEVIATION] = (float)sqrt(fmax(moments->squares / n - mean * mean, 0));
	*moments = (struct moments){ 0 };
}

float *coder_state(struct coder *coder, size_t *count)
{
	for (size_t i = 0; i < coder->scheme_count; i++)
		close_step(&coder->schemes[i]);
	*count = coder->state_count;
	return coder->states;
}

static void adapt(const struct coder *coder, struct scheme *scheme)
{
	const float *kept = scheme->state + scheme->compressor->state_count;
	struct compress_step about = { .step = coder->step,
				       .steps = coder->env.steps,
				       .count = (size_t)kept[KEPT_COUNT],
				       .norm2 = (double)kept[KEPT_NORM2],
				       .norm_inf = (double)kept[KEPT_NORM_INF],
				       .mean_abs = (double)kept[KEPT_MEAN_ABS],
				       .deviation = (double)kept[KEPT_DEVIATION] };

	scheme->compressor->adapt(scheme->part->params, &about, scheme->state);
}

static void begin_step(struct coder *coder, size_t step)
{
	if (coder->begun && step == coder->step)
		return;
	coder->begun = true;
	coder->step = step;
	for (size_t i = 0; i < coder->scheme_count; i++) {
		close_step(&coder->schemes[i]);
		if (coder->schemes[i].compressor->adapt)
			adapt(coder, &coder->schemes[i]);
	}
}

void coder_begin(struct coder *coder, size_t step, size_t offset, const float *x, size_t count)
{
	begin_step(coder, step);
	for (size_t i = 0; coder->states && i < coder->env.span_count; i++) {
		size_t length, start = overlap(&coder->env.spans[i], offset, count, &length);

		if (length && coder->scheme_of[i]->state)
			add_moments(&coder->scheme_of[i]->moments, x + (start - offset), length);
	}
}

struct coder_report coder_report(const struct coder *coder)
{
	return (struct coder_report){
		.bytes = coder->bytes,
		.coordinates = coder->coordinates,
		.level = coder->states ? (double)coder->states[0] : 0,
	};
}

void coder_count(struct coder *coder, size_t bytes, size_t count)
{
	coder->bytes += bytes;
	coder->coordinates += count;
}

/* The next one that messages have: factors travel otherwise. */
static bool next_coded(const struct coder *coder, size_t offset, size_t count, size_t *span,
		       struct coder_piece *piece)
{
	while (coder_next(coder, offset, count, span, piece))
		if (piece->compressor->payload != PAYLOAD_FACTORS)
			return true;
	return false;
}

size_t coder_bound(const struct coder *coder, size_t offset, size_t count)
{
	struct coder_piece piece;
	size_t bytes = 0, span = 0;

	while (next_coded(coder, offset, count, &span, &piece))
		bytes += PREFIX + piece.compressor->bound(piece.params, piece.count);
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

int coder_check(const struct coder *coder, const struct coder_piece *piece, const float *x,
		struct error *err)
{
	if (is_finite(x, piece->count))
		return 0;
	return error_set(err, "step %zu: '%s' has a number that is not finite", coder->step,
			 piece->span->name);
}

/* Random numbers belong to places in tensors: slices of one have the same as all of it. */
static struct compress_input input_of(const struct coder *coder, size_t span,
				      const struct coder_piece *piece, const float *x)
{
	uint64_t which = (uint64_t)coder->env.rank << 40 | piece->span->offset;

	return (struct compress_input){
		.x = x,
		.count = piece->count,
		.first = piece->offset - piece->span->offset,
		.rng = rng_make(coder->env.seed, RNG_COMPRESS, which, coder->step),
		.state = coder->scheme_of[span]->state,
		.largest = coder->largest[span],
		.norm = coder->norms[span],
		.link = coder->env.link.bytes_per_s > 0 ? &coder->env.link : NULL,
	};
}

static size_t encode(const struct coder *coder, size_t offset, const float *x, size_t count,
		     bool counted, unsigned char *out, struct error *err)
{
	unsigned char *begin = out;
	struct coder_piece piece;
	size_t span = 0;

	while (next_coded(coder, offset, count, &span, &piece)) {
		const float *part = x + (piece.offset - offset);
		struct compress_input input = input_of(coder, span - 1, &piece, part);
		uint32_t bytes;

		if (coder_check(coder, &piece, part, err) < 0)
			return 0;
		if (counted && piece.vote != VOTE_NO)
			bytes = (uint32_t)votes_encode(part, piece.count, out + PREFIX);
		else
			bytes = (uint32_t)piece.compressor->encode(piece.params, &input,
								   out + PREFIX);
		memcpy(out, &bytes, PREFIX);
		out += PREFIX + bytes;
	}
	return (size_t)(out - begin);
}

size_t coder_encode(struct coder *coder, size_t offset, const float *x, size_t count,
		    unsigned char *out, struct error *err)
{
	size_t bytes = encode(coder, offset, x, count, false, out, err);

	if (bytes)
		coder_count(coder, bytes, count);
	return bytes;
}

size_t coder_encode_sum(struct coder *coder, size_t offset, const float *x, size_t count,
			unsigned char *out, struct error *err)
{
	size_t bytes = encode(coder, offset, x, count, true, out, err);

	if (bytes)
		coder_count(coder, bytes, count);
	return bytes;
}

float *coder_measure(struct coder *coder, size_t offset, const float *x, size_t count,
		     size_t *spans)
{
	size_t span = 0, first = 0, end = 0;
	struct coder_piece piece;

	while (coder_next(coder, offset, count, &span, &piece)) {
		const float *part = x + (piece.offset - offset);

		if (piece.vote == VOTE_NORM)
			coder->norms[span - 1] = sqrt(cpu_sum_squares(part, piece.count));
		if (piece.vote != VOTE_LARGEST)
			continue;
		coder->largest[span - 1] = codes_largest(part, piece.count);
		first = end ? first : span - 1;
		end = span;
	}
	*spans = end - first;
	return end ? coder->largest + first : NULL;
}

/* What is left of a message, piece by piece. */
struct rest {
	const unsigned char *next, *end;
	size_t length; /* of all of it */
};

/* The next piece's payload. NULL and err if it is not all there. */
static const unsigned char *take(struct rest *rest, uint32_t *bytes, struct error *err)
{
	const unsigned char *payload = rest->next + PREFIX;

	if ((size_t)(rest->end - rest->next) >= PREFIX) {
		memcpy(bytes, rest->next, PREFIX);
		if (*bytes <= (size_t)(rest->end - payload)) {
			rest->next = payload + *bytes;
			return payload;
		}
	}
	error_set(err, "a message of %zu bytes ends too early", rest->length);
	return NULL;
}

static int at_end(const struct rest *rest, struct error *err)
{
	return rest->next == rest->end
		       ? 0
		       : error_set(err, "a message of %zu bytes is too long", rest->length);
}

int coder_decode(const struct coder *coder, const unsigned char *message, size_t length,
		 float scale, size_t offset, float *y, size_t count, struct error *err)
{
	struct rest rest = { .next = message, .end = message + length, .length = length };
	struct coder_piece piece;
	size_t span = 0;
	uint32_t bytes;

	while (next_coded(coder, offset, count, &span, &piece)) {
		const unsigned char *payload = take(&rest, &bytes, err);

		if (!payload)
			return -1;
		if (piece.compressor->decode_add(piece.params, payload, bytes, scale,
						 y + (piece.offset - offset), piece.count, err) < 0)
			return error_prefix(err, "'%s'", piece.span->name);
	}
	return at_end(&rest, err);
}

static size_t chosen_of(const struct coder_piece *piece)
{
	return piece->compressor->chosen ? piece->compressor->chosen(piece->params, piece->count)
					 : piece->count;
}

size_t coder_chosen(const struct coder *coder, size_t offset, size_t count)
{
	struct coder_piece piece;
	size_t chosen = 0, span = 0;

	while (next_coded(coder, offset, count, &span, &piece))
		chosen += chosen_of(&piece);
	return chosen;
}

/* Of a scheme that does not choose: all of them. */
static int decode_all(const struct coder_piece *piece, const unsigned char *payload, size_t bytes,
		      size_t first, struct compress_pairs *pairs, struct error *err)
{
	for (size_t i = 0; i < piece->count; i++) {
		pairs->indices[i] = (uint32_t)(first + i);
		pairs->values[i] = 0;
	}
	pairs->count = piece->count;
	return piece->compressor->decode_add(piece->params, payload, bytes, 1, pairs->values,
					     piece->count, err);
}

int coder_pairs(const struct coder *coder, const unsigned char *message, size_t length,
		size_t offset, size_t count, struct compress_pairs *pairs, struct error *err)
{
	struct rest rest = { .next = message, .end = message + length, .length = length };
	struct coder_piece piece;
	size_t span = 0;
	uint32_t bytes;

	pairs->count = 0;
	while (next_coded(coder, offset, count, &span, &piece)) {
		const unsigned char *payload = take(&rest, &bytes, err);
		struct compress_pairs some = { .indices = pairs->indices + pairs->count,
					       .values = pairs->values + pairs->count };
		size_t first = piece.offset - offset;
		int status;

		if (!payload)
			return -1;
		status = piece.compressor->pairs
				 ? piece.compressor->pairs(piece.params, payload, bytes, first,
							   piece.count, &some, err)
				 : decode_all(&piece, payload, bytes, first, &some, err);
		if (status < 0)
			return error_prefix(err, "'%s'", piece.span->name);
		pairs->count += some.count;
	}
	return at_end(&rest, err);
}

int coder_cast_votes(const struct coder *coder, size_t offset, float *x, size_t count,
		     unsigned char *scratch, struct error *err)
{
	struct coder_piece piece;
	size_t span = 0;

	while (coder_next(coder, offset, count, &span, &piece)) {
		float *part = x + (piece.offset - offset);
		size_t length;

		if (piece.vote == VOTE_NO)
			continue;
		length = encode(coder, piece.offset, part, piece.count, false, scratch, err);
		memset(part, 0, piece.count * sizeof(*part));
		if (length == 0 || coder_decode(coder, scratch, length, 1, piece.offset, part,
						piece.count, err) < 0)
			return -1;
	}
	return 0;
}

void coder_count_votes(const struct coder *coder, size_t offset, float *x, size_t count)
{
	struct coder_piece piece;
	size_t span = 0;

	while (coder_next(coder, offset, count, &span, &piece)) {
		float *part = x + (piece.offset - offset);

		for (size_t i = 0; i < piece.count && piece.vote != VOTE_NO; i++)
			part[i] = part[i] < 0 ? -1 : 1;
	}
}
