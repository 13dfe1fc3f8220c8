/* The largest number of each window, by channel. */
#include "lib/opt.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/model/image.h"
#include "runtime/model/layer.h"

static const struct opt options[] = {
	{ "kernel", OPT_COUNT, offsetof(struct pool2d_params, kernel), "2", "side of a window",
	  .min = 1, .max = 15 },
	{ "stride", OPT_COUNT, offsetof(struct pool2d_params, stride), "0",
	  "pixels from one window to the next; 0: the kernel's side", .min = 0, .max = 64 },
	{ "padding", OPT_COUNT, offsetof(struct pool2d_params, padding), "0",
	  "pixels around the image that are never the largest; at most half the kernel's side",
	  .min = 0, .max = 7 },
	{ 0 }
};

static int plan_max_pool2d(const void *params, const struct shape *input,
			   const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	const struct pool2d_params *pool = params;

	(void)env;
	if (image_pool(pool, input, &plan->output, err) < 0)
		return -1;
	plan->scratch_bytes = shape_count(&plan->output); /* which of its window */
	return 0;
}

struct work {
	const struct layer_call *call;
	struct pool pool;
	const float *from;
	float *to;
};

static void pool_sample(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	const struct layer_call *call = work->call;
	size_t in_area = work->pool.height * work->pool.width;
	size_t out_area = work->pool.out_height * work->pool.out_width;
	const float *in = work->from + sample * call->inputs;
	unsigned char *which = (unsigned char *)call->scratch + sample * call->outputs;
	float *out = work->to + sample * call->outputs;

	(void)member;
	for (size_t c = 0; c < call->input->dim[0]; c++)
		kernels()->max_pool(&work->pool, in + c * in_area, out + c * out_area,
				    which + c * out_area);
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct work work = { call, image_pool_of(call), in, out };

	team_run(call->team, call->batch, pool_sample, &work);
}

static void pool_slope(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	const struct layer_call *call = work->call;
	size_t in_area = work->pool.height * work->pool.width;
	size_t out_area = work->pool.out_height * work->pool.out_width;
	const float *dout = work->from + sample * call->outputs;
	const unsigned char *which = (unsigned char *)call->scratch + sample * call->outputs;
	float *din = work->to + sample * call->inputs;

	(void)member;
	for (size_t c = 0; c < call->input->dim[0]; c++)
		kernels()->max_pool_slope(&work->pool, dout + c * out_area, which + c * out_area,
					  din + c * in_area);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	struct work work = { call, image_pool_of(call), dout, din };

	(void)in;
	(void)out;
	team_run(call->team, call->batch, pool_slope, &work);
}

const struct layer layer_max_pool2d = {
	.entry = { .name = "max_pool2d",
		   .summary = "the largest number of each window, by channel",
		   .options = options,
		   .params_size = sizeof(struct pool2d_params) },
	.plan = plan_max_pool2d,
	.forward = forward,
	.backward = backward,
};
