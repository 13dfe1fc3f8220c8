/* What layers that pool windows of an image share: all but what they make of one plane. */
#include "runtime/model/pool2d.h"

#include "lib/error.h"
#include "runtime/device/team.h"
#include "runtime/model/image.h"
#include "runtime/model/layer.h"

static size_t stride_of(const struct pool2d_params *params)
{
	return params->stride ? params->stride : params->kernel;
}

int pool2d_shape(const struct pool2d_params *params, const struct shape *input,
		 struct shape *output, struct error *err)
{
	if (2 * params->padding > params->kernel)
		return error_set(err, "a padding of %zu is more than half the kernel's side of %zu",
				 params->padding, params->kernel);
	return image_windows(input, params->kernel, stride_of(params), params->padding, output,
			     err);
}

static struct pool pool_of(const struct layer_call *call)
{
	const struct pool2d_params *params = call->params;

	return (struct pool){
		.kernel = params->kernel,
		.stride = stride_of(params),
		.padding = params->padding,
		.height = call->input->dim[1],
		.width = call->input->dim[2],
		.out_height = call->output->dim[1],
		.out_width = call->output->dim[2],
	};
}

struct work {
	struct pool pool;
	pool2d_plane *plane;
	size_t channels;
	size_t from_area, to_area, out_area;
	const float *from;
	float *to;
	unsigned char *which;
};

static void run_sample(void *arg, size_t sample, size_t member)
{
	const struct work *work = arg;
	size_t first = sample * work->channels;

	(void)member;
	for (size_t i = first; i < first + work->channels; i++)
		work->plane(&work->pool, work->from + i * work->from_area,
			    work->to + i * work->to_area,
			    work->which ? work->which + i * work->out_area : NULL);
}

static void run(const struct layer_call *call, struct work *work)
{
	work->pool = pool_of(call);
	work->channels = call->input->dim[0];
	work->out_area = call->outputs / work->channels;
	work->which = call->plan->scratch_bytes > 0 ? call->scratch : NULL;
	team_run(call->team, call->batch, run_sample, work);
}

void pool2d_forward(const struct layer_call *call, pool2d_plane *plane, const float *in, float *out)
{
	size_t channels = call->input->dim[0];
	struct work work = { .plane = plane,
			     .from = in,
			     .from_area = call->inputs / channels,
			     .to = out,
			     .to_area = call->outputs / channels };

	run(call, &work);
}

void pool2d_backward(const struct layer_call *call, pool2d_plane *plane, const float *dout,
		     float *din)
{
	size_t channels = call->input->dim[0];
	struct work work = { .plane = plane,
			     .from = dout,
			     .from_area = call->outputs / channels,
			     .to = din,
			     .to_area = call->inputs / channels };

	run(call, &work);
}
