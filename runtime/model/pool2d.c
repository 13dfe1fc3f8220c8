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

/* Sizes are those of a sample. */
struct work {
	struct pool pool;
	pool2d_plane *plane;
	size_t channels, from_size, to_size, out_size;
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
		work->plane(&work->pool, work->from + i * (work->from_size / work->channels),
			    work->to + i * (work->to_size / work->channels),
			    work->which ? work->which + i * (work->out_size / work->channels)
					: NULL);
}

static void run(const struct layer_call *call, struct work *work)
{
	work->pool = pool_of(call);
	work->channels = call->input->dim[0];
	work->out_size = call->outputs;
	work->which = call->plan->scratch_bytes > 0 ? call->scratch : NULL;
	team_run(call->team, call->batch, run_sample, work);
}

void pool2d_forward(const struct layer_call *call, pool2d_plane *plane, const float *in, float *out)
{
	run(call, &(struct work){ .plane = plane,
				  .from = in,
				  .from_size = call->inputs,
				  .to = out,
				  .to_size = call->outputs });
}

void pool2d_backward(const struct layer_call *call, pool2d_plane *plane, const float *dout,
		     float *din)
{
	run(call, &(struct work){ .plane = plane,
				  .from = dout,
				  .from_size = call->outputs,
				  .to = din,
				  .to_size = call->inputs });
}
