/* 1 / (1 + exp(-x)) */
#include <math.h>

#include "runtime/model/layer.h"

static void forward(const struct layer_call *call, const float *in, float *out)
{
	for (size_t i = 0; i < call->batch * call->inputs; i++)
		out[i] = 1 / (1 + expf(-in[i]));
}

/* s' = s (1 - s) */
static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)in;
	for (size_t i = 0; i < call->batch * call->inputs; i++)
		din[i] = dout[i] * out[i] * (1 - out[i]);
}

const struct layer layer_sigmoid = {
	.entry = { .name = "sigmoid", .summary = "logistic function, between 0 and 1" },
	.reads_out = true,
	.in_place = true,
	.critical = 1, /* has no critical point of its own */
	.forward = forward,
	.backward = backward,
};
