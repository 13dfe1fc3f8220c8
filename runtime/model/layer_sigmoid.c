/* 1 / (1 + exp(-x)) */
#include "runtime/device/kernels.h"
#include "runtime/device/vector.h"
#include "runtime/model/layer.h"

static void forward(const struct layer_call *call, const float *in, float *out)
{
	vector_map(call->team, kernels()->sigmoid, out, in, call->batch * call->inputs);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)in;
	vector_map_slope(call->team, kernels()->sigmoid_slope, din, out, dout,
			 call->batch * call->inputs);
}

const struct layer layer_sigmoid = {
	.entry = { .name = "sigmoid", .summary = "logistic function, between 0 and 1" },
	.reads_out = true,
	.in_place = true,
	.critical = 1, /* has no critical point of its own */
	.forward = forward,
	.backward = backward,
};
