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
#include "lib/numbers.h"
#include "runtime/coder.h"
#include "runtime/compress/compress.h"
#include "runtime/job.h"
#include "runtime/model/model.h"
#include "runtime/rng.h"

/* The first round finds caches cold. More numbers than these are compressed no faster. */
enum { WARM = 1, LEAST = 3, MOST = 64, COUNT_MOST = 1 << 19 };

static const double MOMENT_S = 0.05;

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

/* Medians, and the bytes of the last round. */
static void run(struct trial *trial, struct cost_codec *out)
{
	double encode_s[MOST], decode_s[MOST], end = clock_now() + MOMENT_S;
	double bytes = (double)(trial->count * sizeof(float));
	size_t rounds = 0;

	for (size_t i = 0; i < WARM; i++)
		once(trial, i);
	do {
		once(trial, WARM + rounds);
		encode_s[rounds] = trial->encode_s;
		decode_s[rounds++] = trial->decode_s;
	} while (rounds < MOST && (rounds < LEAST || clock_now() < end));
	out->ratio = (double)trial->length / bytes;
	out->encode_s = numbers_median(encode_s, rounds) / bytes;
	out->decode_s = numbers_median(decode_s, rounds) / bytes;
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
	if (PART_AS(&job->compressor, struct compressor)->payload == PAYLOAD_OPAQUE) {
		env.spans = spans;
		trial.coder = coder_new(&env);
		trial.x = xaligned(trial.count * sizeof(float));
		trial.y = xaligned(trial.count * sizeof(float));
		trial.message = xmalloc(coder_bound(trial.coder, 0, trial.count));
		fill(trial.x, trial.count, job->params.seed);
		run(&trial, out);
		out->encode_s *= crowd;
		out->decode_s *= crowd;
		out->feedback =
			exchange_feedback(&job->exchange_params, &job->compressor) != FEEDBACK_NONE;
		out->bucket_bytes = (double)job->sync_params.bucket_bytes;
		free(trial.x);
		free(trial.y);
		free(trial.message);
		coder_free(trial.coder);
	}
	free(spans);
}
