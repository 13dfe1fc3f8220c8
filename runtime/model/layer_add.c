/* The sum of two layers: the end of a residual block. */
#include <string.h>

#include "runtime/device/vector.h"
#include "runtime/model/layer.h"

static void forward(const struct layer_call *call, const float *in, float *out)
{
	size_t count = call->batch * call->outputs;

	vector_add_to(call->team, out, in, call->in2, count);
	if (call->relu)
		vector_relu(call->team, out, out, count);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	size_t count = call->batch * call->outputs;

	(void)in;
	if (call->relu)
		vector_relu_slope(call->team, dout, out, dout, count);
	if (call->din2)
		memcpy(call->din2, dout, count * sizeof(*dout));
	if (din && din != dout)
		memcpy(din, dout, count * sizeof(*dout));
}

const struct layer layer_add = {
	.entry = { .name = "add", .summary = "the sum of two layers of one shape" },
	.in_place = true,
	.joins = true,
	.takes_relu = true,
	.forward = forward,
	.backward = backward,
};
