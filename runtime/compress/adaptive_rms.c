/*
 * Levels of a norm, a bit more or less for each doubling or halving of the
 * gradient's root mean square since the first step: after Oland and Raj, "Reducing communication
 * overhead in distributed learning", ICASSP 2015.
 */
#include "runtime/compress/compress.h"

#include <math.h>

#include "lib/opt.h"
#include "runtime/compress/width.h"

struct rms_params {
	struct width_params width;
	double first;
};

static const struct opt options[] = { WIDTH_OPTION,
				      { "first_bits", OPT_REAL, offsetof(struct rms_params, first),
					"6", "of a coordinate, in the first steps",
					.min = WIDTH_LEAST, .max = WIDTH_MOST },
				      { 0 } };

enum state { LEVEL, FIRST /* log2 of the root mean square; above 1000: none so far */, STATE };

static void adapt(const void *params, const struct compress_step *step, float *state)
{
	const struct rms_params *rms = params;
	double log;

	if (state[LEVEL] == 0) {
		state[LEVEL] = width_clip(rms->first);
		state[FIRST] = 2000;
	}
	if (step->count == 0 || !(step->norm2 > 0))
		return;
	log = log2(step->norm2) - log2((double)step->count) / 2;
	if (state[FIRST] > 1000)
		state[FIRST] = (float)log;
	state[LEVEL] = width_clip(rms->first + log - (double)state[FIRST]);
}

const struct compressor compress_adaptive_rms = {
	.entry = { .name = "adaptive_rms",
		   .summary = "bits by the gradient's root mean square: 2 to 8",
		   .options = options,
		   .params_size = sizeof(struct rms_params) },
	WIDTH_COMPRESSOR,
	.state_count = STATE,
	.adapt = adapt,
};
