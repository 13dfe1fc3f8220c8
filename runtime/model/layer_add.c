/* The sum of two inputs: where the block of a residual network ends. */
#include "runtime/device/vector.h"
#include "runtime/model/layer.h"

static int plan_add(const void *params, const struct shape *input, const struct model_env *env,
		    struct layer_plan *plan, struct error *err)
{
	(void)params;
	(void)env;
	(void)err;
	plan->flops = (double)shape_count(input);
	return 0;
}

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
	.entry = { .name = "add", .summary = "sum of two inputs, of which `residual` is made" },
	.in_place = true,
	.joins = true,
	.takes_relu = true,
	.plan = plan_add,
	.forward = forward,
	.backward = backward,
};
