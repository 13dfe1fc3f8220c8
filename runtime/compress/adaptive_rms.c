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
	int norm;
	double first;
};

static const struct opt options[] = {
	{ "norm", OPT_CHOICE, offsetof(struct rms_params, norm), "inf",
	  "what the highest level stands for", .choices = width_norms },
	{ "first_bits", OPT_REAL, offsetof(struct rms_params, first), "6",
	  "of a coordinate, in the first steps", .min = WIDTH_LEAST, .max = WIDTH_MOST },
	{ 0 }
};

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

static size_t bound(const void *params, size_t count)
{
	(void)params;
	return width_bound(count);
}

static size_t encode(const void *params, const struct compress_input *input, unsigned char *out)
{
	const struct rms_params *rms = params;

	return width_encode((enum width_norm)rms->norm, input, out);
}

static int decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		      float *y, size_t count, struct error *err)
{
	(void)params;
	return width_decode_add(bytes, length, scale, y, count, err);
}

static double largest_error(const void *params, const struct compress_input *input)
{
	const struct rms_params *rms = params;

	return width_error((enum width_norm)rms->norm, input);
}

const struct compressor compress_adaptive_rms = {
	.entry = { .name = "adaptive_rms",
		   .summary = "bits by the gradient's root mean square: 2 to 8",
		   .options = options,
		   .params_size = sizeof(struct rms_params) },
	.payload = PAYLOAD_OPAQUE,
	.bound = bound,
	.encode = encode,
	.decode_add = decode_add,
	.error = largest_error,
	.state_count = STATE,
	.adapt = adapt,
};
