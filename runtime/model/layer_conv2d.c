/* Convolution: the same weighted sums of a window at every place of an image. */
#include <math.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/device/conv.h"
#include "runtime/model/image.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

enum { WEIGHT, BIAS };

static const struct opt options[] = {
	{ "channels", OPT_COUNT, offsetof(struct conv2d_params, channels), NULL,
	  "channels of the output", .min = 1, .max = 65536 },
	{ "kernel", OPT_COUNT, offsetof(struct conv2d_params, kernel), "3", "side of the window",
	  .min = 1, .max = 64 },
	{ "stride", OPT_COUNT, offsetof(struct conv2d_params, stride), "1",
	  "pixels from one window to the next", .min = 1, .max = CONV_MAX_STRIDE },
	{ "padding", OPT_COUNT, offsetof(struct conv2d_params, padding), "0",
	  "zeros around the image", .min = 0, .max = 64 },
	{ "groups", OPT_COUNT, offsetof(struct conv2d_params, groups), "1",
	  "groups of channels that do not meet; as many as channels: depthwise", .min = 1,
	  .max = 65536 },
	{ "bias", OPT_BOOL, offsetof(struct conv2d_params, bias), "yes",
	  "whether something is added to each channel" },
	{ 0 }
};

static struct conv conv_of(const struct conv2d_params *params, const struct shape *input,
			   const struct shape *output)
{
	return (struct conv){
		.channels = input->dim[0],
		.height = input->dim[1],
		.width = input->dim[2],
		.outputs = params->channels,
		.kernel = params->kernel,
		.stride = params->stride,
		.padding = params->padding,
		.groups = params->groups,
		.out_height = output->dim[1],
		.out_width = output->dim[2],
	};
}

static int check(const struct conv2d_params *params, const struct shape *input, struct error *err)
{
	if (params->padding >= params->kernel)
		return error_set(err, "a padding of %zu is not below the kernel's side of %zu",
				 params->padding, params->kernel);
	if (input->dim[0] % params->groups != 0)
		return error_set(err, "%zu channels are not %zu groups of as many", input->dim[0],
				 params->groups);
	if (params->channels % params->groups != 0)
		return error_set(err, "%zu channels of the output are not %zu groups of as many",
				 params->channels, params->groups);
	return 0;
}

/* Weights and biases as PyTorch begins them. */
static void plan_tensors(const struct conv2d_params *params, const struct conv *conv,
			 struct layer_plan *plan)
{
	size_t area = conv->kernel * conv->kernel, channels = conv->channels / conv->groups;
	double bound = 1 / sqrt((double)(channels * area));

	plan->tensor[WEIGHT] = (struct layer_tensor){
		.suffix = "weight",
		.shape = { .dim = { conv->outputs, channels, conv->kernel, conv->kernel },
			   .rank = 4 },
		.init = INIT_UNIFORM,
		.value = bound,
		.fan_in = channels * area,
		.fan_out = conv->outputs * area,
	};
	plan->tensor[BIAS] = (struct layer_tensor){
		.suffix = "bias",
		.shape = { .dim = { conv->outputs }, .rank = 1 },
		.init = INIT_UNIFORM,
		.value = bound,
		.bias = true,
	};
	plan->tensors = params->bias ? 2 : 1;
}

static int plan_conv2d(const void *params, const struct shape *input, const struct model_env *env,
		       struct layer_plan *plan, struct error *err)
{
	const struct conv2d_params *wanted = params;
	struct conv conv;

	(void)env;
	if (image_windows(input, wanted->kernel, wanted->stride, wanted->padding, &plan->output,
			  err) < 0 ||
	    check(wanted, input, err) < 0)
		return -1;
	plan->output.dim[0] = wanted->channels;
	conv = conv_of(wanted, input, &plan->output);
	plan_tensors(wanted, &conv, plan);
	plan->room_bytes = conv_room_bytes(&conv);
	plan->workspace_bytes = conv_workspace_bytes(&conv);
	plan->flops =
		2.0 * (double)shape_count(&plan->output) * (double)plan->tensor[WEIGHT].fan_in;
	return 0;
}

static struct conv_call make_call(const struct layer_call *call, const struct conv *conv)
{
	const struct conv2d_params *params = call->params;

	return (struct conv_call){
		.conv = conv,
		.batch = call->batch,
		.weight = call->weight[WEIGHT],
		.bias = params->bias ? call->weight[BIAS] : NULL,
		.relu = call->relu,
		.room = call->room,
		.team = call->team,
	};
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct conv conv = conv_of(call->params, call->input, call->output);
	struct conv_call run = make_call(call, &conv);

	conv_forward(&run, in, out);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	struct conv conv = conv_of(call->params, call->input, call->output);
	struct conv_call run = make_call(call, &conv);

	conv_backward(&run, in, out, dout, call->grad[WEIGHT], run.bias ? call->grad[BIAS] : NULL,
		      din);
}

const struct layer layer_conv2d = {
	.entry = { .name = "conv2d",
		   .summary = "the same weighted sums of a window at every place of an image",
		   .options = options,
		   .params_size = sizeof(struct conv2d_params) },
	.reads_in = true,
	.takes_relu = true,
	.plan = plan_conv2d,
	.forward = forward,
	.backward = backward,
};
