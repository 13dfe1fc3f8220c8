/* max(x, 0) */
#include "runtime/device/vector.h"
#include "runtime/model/layer.h"

static void forward(const struct layer_call *call, const float *in, float *out)
{
	vector_relu(call->team, out, in, call->batch * call->inputs);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)in;
	vector_relu_slope(call->team, din, out, dout, call->batch * call->inputs);
}

const struct layer layer_relu = {
	.entry = { .name = "relu", .summary = "negative numbers become 0" },
	.reads_out = true,
	.in_place = true,
	.is_relu = true,
	.critical = 2,
	.forward = forward,
	.backward = backward,
};
