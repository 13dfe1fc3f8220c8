/* The hyperbolic tangent. */
#include "runtime/device/kernels.h"
#include "runtime/device/vector.h"
#include "runtime/model/layer.h"

static void forward(const struct layer_call *call, const float *in, float *out)
{
	vector_map(call->team, kernels()->tanh, out, in, call->batch * call->inputs);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)in;
	vector_map_slope(call->team, kernels()->tanh_slope, din, out, dout,
			 call->batch * call->inputs);
}

const struct layer layer_tanh = {
	.entry = { .name = "tanh", .summary = "hyperbolic tangent, between -1 and 1" },
	.reads_out = true,
	.in_place = true,
	.critical = 1,
	.forward = forward,
	.backward = backward,
};
