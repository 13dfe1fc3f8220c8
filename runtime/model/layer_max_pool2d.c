/* The largest number of each window, by channel. */
#include "lib/opt.h"
#include "runtime/device/kernels.h"
#include "runtime/model/layer.h"
#include "runtime/model/pool2d.h"

static const struct opt options[] = {
	POOL2D_OPTIONS(15, 7, "pixels around the image that are never the largest"), { 0 }
};

static int plan_max_pool2d(const void *params, const struct shape *input,
			   const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	(void)env;
	if (pool2d_shape(params, input, &plan->output, err) < 0)
		return -1;
	plan->scratch_bytes = shape_count(&plan->output); /* which of its window */
	return 0;
}

static void slope_plane(const struct pool *pool, const float *dout, float *din,
			unsigned char *which)
{
	kernels()->max_pool_slope(pool, dout, which, din);
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	pool2d_forward(call, kernels()->max_pool, in, out);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)in;
	(void)out;
	pool2d_backward(call, slope_plane, dout, din);
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
