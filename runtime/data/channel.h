/* What the bytes of images stand for: value = byte * scale + shift, by channel. */
#ifndef DSTRAIN_RUNTIME_CHANNEL_H
#define DSTRAIN_RUNTIME_CHANNEL_H

#include <stdbool.h>

#include "lib/opt.h"

struct dataset;

struct channel_params {
	double scale, shift;
	bool standardise;
};

/* The rows of a format whose params struct has a struct channel_params as `field`. */
/* clang-format off */
#define CHANNEL_OPTIONS(params, field) \
	{ "scale", OPT_REAL, offsetof(struct params, field.scale), "0.00392156862745098", \
	  "what a byte is multiplied by" }, \
	{ "shift", OPT_REAL, offsetof(struct params, field.shift), "0", \
	  "what is added to it afterwards" }, \
	{ "standardise", OPT_BOOL, offsetof(struct params, field.standardise), "no", \
	  "instead: mean 0 and variance 1 of each channel over the training samples" }
/* clang-format on */

/* Sets out->scale and out->shift. `train` may be `out`. */
void channels_set(const struct channel_params *params, const struct dataset *train,
		  struct dataset *out);

#endif
