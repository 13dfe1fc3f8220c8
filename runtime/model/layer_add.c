/* The sum of two inputs: where the block of a residual network ends. */
#include <string.h>

#include "runtime/device/vector.h"
#include "runtime/model/layer.h"

static void forward(const struct layer_call *call, const float *in, float *out)
{
	vector_sum(call->team, out, in, call->in2, call->batch * call->inputs, call->relu);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	size_t count = call->batch * call->inputs;

	(void)in;
	if (call->relu)
		vector_relu_slope(call->team, dout, out, dout, count);
	if (call->din2)
		vector_copy(call->team, call->din2, dout, count);
	if (din && din != dout)
		vector_copy(call->team, din, dout, count);
}

const struct layer layer_add = {
	.entry = { .name = "add", .summary = "the sum of two inputs of one shape" },
	.in_place = true,
	.joins = true,
	.takes_relu = true,
	.forward = forward,
	.backward = backward,
};
