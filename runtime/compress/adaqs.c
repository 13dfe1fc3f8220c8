/*
 * Levels of a norm, a bit more whenever the gradient's mean magnitude in relation to
 * its deviation has halved: after Guo et al., "Accelerating distributed deep learning by adaptive
 * gradient quantization", ICASSP 2020.
 */
#include "runtime/compress/compress.h"

#include "lib/opt.h"
#include "runtime/compress/width.h"

struct adaqs_params {
	struct width_params width;
	double first, factor;
};

static const struct opt options[] = {
	WIDTH_OPTION,
	{ "first_bits", OPT_REAL, offsetof(struct adaqs_params, first), "4",
	  "of a coordinate, in the first steps", .min = WIDTH_LEAST, .max = WIDTH_MOST },
	{ "factor", OPT_REAL, offsetof(struct adaqs_params, factor), "0.5",
	  "what is left of mean / deviation when a bit is added", .min = 0.01, .max = 0.99 },
	{ 0 }
};

/* Mean / deviation: its moving mean, and what that was when a bit was added last. */
enum state { LEVEL, MEAN, AT_CHANGE, STATE };

static void adapt(const void *params, const struct compress_step *step, float *state)
{
	const struct adaqs_params *adaqs = params;

	if (state[LEVEL] == 0)
		state[LEVEL] = width_clip(adaqs->first);
	if (step->count == 0 || !(step->deviation > 0) || !(step->mean_abs > 0))
		return;
	if (state[MEAN] == 0)
		state[MEAN] = state[AT_CHANGE] = (float)(step->mean_abs / step->deviation);
	state[MEAN] += 0.1f * ((float)(step->mean_abs / step->deviation) - state[MEAN]);
	if ((double)state[MEAN] >= adaqs->factor * (double)state[AT_CHANGE])
		return;
	state[LEVEL] = width_clip((double)state[LEVEL] + 1);
	state[AT_CHANGE] = state[MEAN];
}

const struct compressor compress_adaqs = {
	.entry = { .name = "adaqs",
		   .summary = "bits by the gradient's mean beside its deviation: 2 to 8",
		   .options = options,
		   .params_size = sizeof(struct adaqs_params) },
	WIDTH_COMPRESSOR,
	.state_count = STATE,
	.adapt = adapt,
};
