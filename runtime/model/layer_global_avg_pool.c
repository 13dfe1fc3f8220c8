/* The mean of each channel. */
#include "runtime/device/cpu.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/model/image.h"
#include "runtime/model/layer.h"

static int plan_global_avg_pool(const void *params, const struct shape *input,
				const struct model_env *env, struct layer_plan *plan,
				struct error *err)
{
	(void)params;
	(void)env;
	plan->output = (struct shape){ .dim = { input->dim[0] }, .rank = 1 };
	plan->flops = (double)shape_count(input);
	return image_check(input, err);
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	size_t area = call->inputs / call->outputs;

	for (size_t i = 0; i < call->batch * call->outputs; i++) {
		float squares;

		kernels()->plane_moments(in + i * area, area, &out[i], &squares);
	}
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	size_t area = call->inputs / call->outputs;

	(void)in;
	(void)out;
	for (size_t i = 0; i < call->batch * call->outputs; i++)
		for (size_t j = 0; j < area; j++)
			din[i * area + j] = dout[i] / (float)area;
}

const struct layer layer_global_avg_pool = {
	.entry = { .name = "global_avg_pool", .summary = "the mean of each channel" },
	.plan = plan_global_avg_pool,
	.forward = forward,
	.backward = backward,
};
