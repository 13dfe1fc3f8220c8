/* Any sample as one row of features. */
#include <string.h>

#include "runtime/model/layer.h"

static int plan_flatten(const void *params, const struct shape *input, const struct model_env *env,
			struct layer_plan *plan, struct error *err)
{
	(void)params;
	(void)env;
	(void)err;
	plan->output = (struct shape){ .dim = { shape_count(input) }, .rank = 1 };
	return 0;
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	if (out != in)
		memcpy(out, in, call->batch * call->inputs * sizeof(*out));
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)in;
	(void)out;
	if (din != dout)
		memcpy(din, dout, call->batch * call->inputs * sizeof(*din));
}

const struct layer layer_flatten = {
	.entry = { .name = "flatten", .summary = "makes one row of features of any sample" },
	.in_place = true,
	.plan = plan_flatten,
	.forward = forward,
	.backward = backward,
};
