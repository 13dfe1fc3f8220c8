/* max(x, 0) */
#include "runtime/model/layer.h"

/* Written so that a NaN stays one. */
static void forward(const struct layer_call *call, const float *in, float *out)
{
	for (size_t i = 0; i < call->batch * call->inputs; i++)
		out[i] = in[i] < 0 ? 0 : in[i];
}

/* Both loads are made in any case, so that the loop vectorises. */
static void backward(const struct layer_call *call, const float *in, const float *out,
		     const float *dout, float *din)
{
	(void)in;
	for (size_t i = 0; i < call->batch * call->inputs; i++) {
		float slope = dout[i];

		din[i] = out[i] > 0 ? slope : 0;
	}
}

const struct layer layer_relu = {
	.entry = { .name = "relu", .summary = "negative numbers become 0" },
	.forward = forward,
	.backward = backward,
};
