/* The mean of each window, by channel; what lies around the image counts as 0. */
#include <string.h>

#include "lib/opt.h"
#include "runtime/device/team.h"
#include "runtime/model/image.h"
#include "runtime/model/layer.h"

static const struct opt options[] = {
	{ "kernel", OPT_COUNT, offsetof(struct pool2d_params, kernel), "2", "side of a window",
	  .min = 1, .max = 64 },
	{ "stride", OPT_COUNT, offsetof(struct pool2d_params, stride), "0",
	  "pixels from one window to the next; 0: the kernel's side", .min = 0, .max = 64 },
	{ "padding", OPT_COUNT, offsetof(struct pool2d_params, padding), "0",
	  "zeros around the image; at most half the kernel's side", .min = 0, .max = 32 },
	{ 0 }
};

static int plan_avg_pool2d(const void *params, const struct shape *input,
			   const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	const struct pool2d_params *pool = params;

	(void)env;
	if (image_pool(pool, input, &plan->output, err) < 0)
		return -1;
	plan->flops = (double)(shape_count(&plan->output) * pool->kernel * pool->kernel);
	return 0;
}

struct work {
	const struct layer_call *call;
	struct pool pool;
	const float *from;
	float *to;
};

static void pool_plane(const struct pool *pool, const float *plane, float *out)
{
	size_t top, bottom, left, right;

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

static void pool_sample(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	const struct layer_call *call = work->call;
	size_t channels = call->input->dim[0];

	(void)member;
	for (size_t c = 0; c < channels; c++)
		pool_plane(&work->pool,
			   work->from + sample * call->inputs + c * (call->inputs / channels),
			   work->to + sample * call->outputs + c * (call->outputs / channels));
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct work work = { call, image_pool_of(call), in, out };

	team_run(call->team, call->batch, pool_sample, &work);
}

static void slope_plane(const struct pool *pool, const float *dout, float *din)
{
	size_t top, bottom, left, right;

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

static void pool_slope(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	const struct layer_call *call = work->call;
	size_t channels = call->input->dim[0];

	(void)member;
	for (size_t c = 0; c < channels; c++)
		slope_plane(&work->pool,
			    work->from + sample * call->outputs + c * (call->outputs / channels),
			    work->to + sample * call->inputs + c * (call->inputs / channels));
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	struct work work = { call, image_pool_of(call), dout, din };

	(void)in;
	(void)out;
	team_run(call->team, call->batch, pool_slope, &work);
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
