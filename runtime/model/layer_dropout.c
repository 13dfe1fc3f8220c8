/*
 * Zeroes a random share of the features in training and scales the others up by as much. What a
 * sample loses depends on seed, layer, step and its position in the batch of all ranks, so that it
 * is the same on any number of ranks.
 */
#include <string.h>

#include "lib/opt.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

static const struct opt options[] = { { "rate", OPT_REAL, offsetof(struct dropout_params, rate),
					"0.5", "share of the features to drop", .min = 0,
					.max = 0.95 },
				      { 0 } };

static int plan_dropout(const void *params, const struct shape *input, const struct model_env *env,
			struct layer_plan *plan, struct error *err)
{
	(void)params;
	(void)env;
	(void)err;
	plan->scratch_bytes = shape_count(input); /* 1: kept */
	return 0;
}

/* One draw decides two features, 32 bits each. */
static void draw_kept(const struct layer_call *call, double rate)
{
	size_t features = call->inputs, pairs = (features + 1) / 2;
	uint64_t threshold = (uint64_t)(rate * 0x1p32);
	unsigned char *kept = call->scratch;

	for (size_t i = 0; i < call->batch; i++, kept += features) {
		uint64_t bits = 0;

		for (size_t j = 0; j < features; j++) {
			bits = j % 2 ? bits >> 32
				     : rng_u64(&call->rng, (call->first + i) * pairs + j / 2);
			kept[j] = (uint32_t)bits >= threshold;
		}
	}
}

static void apply(const struct layer_call *call, double rate, const float *from, float *to)
{
	const unsigned char *kept = call->scratch;
	float scale = (float)(1 / (1 - rate));

	for (size_t i = 0; i < call->batch * call->inputs; i++)
		to[i] = kept[i] ? from[i] * scale : 0;
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	const struct dropout_params *dropout = call->params;

	if (!call->training) {
		memmove(out, in, call->batch * call->inputs * sizeof(*out));
		return;
	}
	draw_kept(call, dropout->rate);
	apply(call, dropout->rate, in, out);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	const struct dropout_params *dropout = call->params;

	(void)in;
	(void)out;
	if (call->training)
		apply(call, dropout->rate, dout, din);
	else
		memmove(din, dout, call->batch * call->inputs * sizeof(*din));
}

const struct layer layer_dropout = {
	.entry = { .name = "dropout",
		   .summary = "zeroes a random share of the features in training",
		   .options = options,
		   .params_size = sizeof(struct dropout_params) },
	.in_place = true,
	.plan = plan_dropout,
	.forward = forward,
	.backward = backward,
};
