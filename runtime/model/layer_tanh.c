/* The hyperbolic tangent. */
#include <math.h>

#include "runtime/model/layer.h"

static void forward(const struct layer_call *call, const float *in, float *out)
{
	for (size_t i = 0; i < call->batch * call->inputs; i++)
		out[i] = tanhf(in[i]);
}

/* tanh' = 1 - tanh^2 */
static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)in;
	for (size_t i = 0; i < call->batch * call->inputs; i++)
		din[i] = dout[i] * (1 - out[i] * out[i]);
}

const struct layer layer_tanh = {
	.entry = { .name = "tanh", .summary = "hyperbolic tangent, between -1 and 1" },
	.reads_out = true,
	.in_place = true,
	.critical = 1,
	.forward = forward,
	.backward = backward,
};
