/* The mean of each window, by channel; what lies around the image counts as 0. */
#include <string.h>

#include "lib/opt.h"
#include "runtime/model/layer.h"
#include "runtime/model/pool2d.h"

static const struct opt options[] = { POOL2D_OPTIONS(64, 32, "zeros around the image"), { 0 } };

static int plan_avg_pool2d(const void *params, const struct shape *input,
			   const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	const struct pool2d_params *pool = params;

	(void)env;
	if (pool2d_shape(pool, input, &plan->output, err) < 0)
		return -1;
	plan->flops = (double)(shape_count(&plan->output) * pool->kernel * pool->kernel);
	return 0;
}

static void pool_plane(const struct pool *pool, const float *plane, float *out,
		       unsigned char *which)
{
	size_t top, bottom, left, right;

	(void)which;
	for (size_t y = 0; y < pool->out_height; y++)
		for (size_t x = 0; x < pool->out_width; x++) {
			float sum = 0;

			pool_window(pool, y, pool->height, &top, &bottom);
			pool_window(pool, x, pool->width, &left, &right);
			for (size_t i = top; i < bottom; i++)
				for (size_t j = left; j < right; j++)
					sum += plane[i * pool->width + j];
			*out++ = sum / (float)(pool->kernel * pool->kernel);
		}
}

static void slope_plane(const struct pool *pool, const float *dout, float *din,
			unsigned char *which)
{
	size_t top, bottom, left, right;

	(void)which;
	memset(din, 0, pool->height * pool->width * sizeof(*din));
	for (size_t y = 0; y < pool->out_height; y++)
		for (size_t x = 0; x < pool->out_width; x++) {
			float slope = *dout++ / (float)(pool->kernel * pool->kernel);

			pool_window(pool, y, pool->height, &top, &bottom);
			pool_window(pool, x, pool->width, &left, &right);
			for (size_t i = top; i < bottom; i++)
				for (size_t j = left; j < right; j++)
					din[i * pool->width + j] += slope;
		}
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	pool2d_forward(call, pool_plane, in, out);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)in;
	(void)out;
	pool2d_backward(call, slope_plane, dout, din);
}

const struct layer layer_avg_pool2d = {
	.entry = { .name = "avg_pool2d",
		   .summary = "the mean of each window, by channel",
		   .options = options,
		   .params_size = sizeof(struct pool2d_params) },
	.plan = plan_avg_pool2d,
	.forward = forward,
	.backward = backward,
};
