/* What a recipe's compressor costs: a coder at work on numbers such as gradients have. */
#include "runtime/calibrate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/cost.h"
#include "lib/error.h"
#include "lib/limit.h"
#include "lib/memory.h"
#include "runtime/coder.h"
#include "runtime/job.h"
#include "runtime/model/model.h"
#include "runtime/rng.h"

/* More numbers than these are compressed no faster. */
enum { ROUNDS = 4, COUNT_MOST = 1 << 19 };

static const double MOMENT_S = 0.05;

static const enum cost_way ways[] = {
	[EXCHANGE_AUTO] = COST_CHOSEN,
	[EXCHANGE_GATHER] = COST_GATHER,
	[EXCHANGE_OWNERS] = COST_OWNERS,
	[EXCHANGE_SPARSE] = COST_SPARSE,
};

/* Few are large, and most are near zero: the product of two normal numbers. */
static void fill(float *x, size_t count, uint64_t seed)
{
	struct rng rng = rng_make(seed, RNG_DATA, 0, 0);

	for (size_t i = 0; i < count; i++)
		x[i] = (float)(rng_normal(&rng, 2 * i) * rng_normal(&rng, 2 * i + 1) * 1e-3);
}

struct trial {
	struct coder *coder;
	float *x, *y;
	size_t count;
	unsigned char *message;
	size_t length;
	double encode_s, decode_s;
};

static void once(struct trial *trial, size_t step)
{
	struct error err;
	double begun = clock_now(), encoded;
	int status;

	coder_begin(trial->coder, step, 0, trial->x, trial->count);
	trial->length = coder_encode(trial->coder, 0, trial->x, trial->count, trial->message, &err);
	assert(trial->length > 0); /* all are finite */
	encoded = clock_now();
	status = coder_decode(trial->coder, trial->message, trial->length, 1, 0, trial->y,
			      trial->count, &err);
	assert(status == 0); /* it is what was encoded */
	(void)status;
	trial->encode_s = encoded - begun;
	trial->decode_s = clock_now() - encoded;
}

/* The best of some rounds: the others met something else. */
static void run(struct trial *trial, struct cost_codec *out)
{
	double bytes = (double)(trial->count * sizeof(float)), end = clock_now() + MOMENT_S;
	double encode_s = INFINITY, decode_s = INFINITY;
	size_t round = 0;

	do {
		once(trial, round);
		encode_s = fmin(encode_s, trial->encode_s);
		decode_s = fmin(decode_s, trial->decode_s);
	} while (++round < ROUNDS || clock_now() < end);
	out->ratio = (double)trial->length / bytes;
	out->encode_s = encode_s / bytes;
	out->decode_s = decode_s / bytes;
}

/* Whether a rank decodes what it sent. */
static bool looks_back(const struct job *job)
{
	enum feedback feedback = exchange_feedback(&job->exchange_params, &job->compressor);

	return feedback == FEEDBACK_CLASSIC || feedback == FEEDBACK_MOMENTUM_CORRECTED;
}

/* 0: all coordinates are sent. */
static double chosen_part(const struct trial *trial)
{
	size_t chosen = coder_chosen(trial->coder, 0, trial->count);

	return chosen < trial->count ? (double)chosen / (double)trial->count : 0;
}

/* Something is sent as messages of a coder, and nothing in another way but float32. */
static bool is_codec(const struct coder *coder, size_t count)
{
	struct coder_piece piece;
	bool opaque = false;
	size_t span = 0;

	while (coder_next(coder, 0, count, &span, &piece)) {
		if (piece.compressor->payload == PAYLOAD_FACTORS)
			return false;
		opaque |= piece.compressor->payload == PAYLOAD_OPAQUE;
	}
	return opaque;
}

void calibrate_codec(struct cost_codec *out, const struct job *job, const struct model *model,
		     size_t ranks_here)
{
	size_t whole = model_count(model), processors = limit_processors();
	double crowd = fmax((double)ranks_here / (double)processors, 1);
	struct coder_env env = { .compressor = &job->compressor,
				 .rules = &job->compress_rules,
				 .seed = job->params.seed,
				 .count = whole };
	struct trial trial = { .count = whole < COUNT_MOST ? whole : COUNT_MOST };
	struct coder_span *spans = job_spans(model, &env.span_count);

	*out = (struct cost_codec){ 0 };
	env.spans = spans;
	trial.coder = coder_new(&env);
	if (is_codec(trial.coder, whole)) {
		trial.x = xaligned(trial.count * sizeof(float));
		trial.y = xaligned(trial.count * sizeof(float));
		trial.message = xmalloc(coder_bound(trial.coder, 0, trial.count));
		fill(trial.x, trial.count, job->params.seed);
		if (coder_bound(trial.coder, 0, trial.count)) /* rules may make factors of all */
			run(&trial, out);
		out->encode_s *= crowd;
		out->decode_s *= crowd;
		out->feedback = looks_back(job);
		out->chosen = chosen_part(&trial);
		out->way = ways[job->exchange_params.collective];
		out->bucket_bytes = (double)job->sync_params.bucket_bytes;
	}
	free(trial.x);
	free(trial.y);
	free(trial.message);
	coder_free(trial.coder);
	free(spans);
}
