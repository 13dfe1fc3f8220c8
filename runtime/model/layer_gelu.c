/* x times the probability that a normal variable is below x. */
#include "lib/opt.h"
#include "runtime/device/kernels.h"
#include "runtime/device/vector.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

static const char *const approximations[] = { "none", "tanh", NULL };

static const struct opt options[] = {
	{ "approximate", OPT_CHOICE, offsetof(struct gelu_params, approximate), "none",
	  "none, or GPT-2's formula with a hyperbolic tangent", .choices = approximations },
	{ 0 }
};

static bool by_tanh(const struct layer_call *call)
{
	const struct gelu_params *gelu = call->params;

	return gelu->approximate > 0;
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	vector_map(call->team, by_tanh(call) ? kernels()->gelu_tanh : kernels()->gelu, out, in,
		   call->batch * call->inputs);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	(void)out;
	vector_map_slope(call->team,
			 by_tanh(call) ? kernels()->gelu_tanh_slope : kernels()->gelu_slope, din,
			 in, dout, call->batch * call->inputs);
}

const struct layer layer_gelu = {
	.entry = { .name = "gelu",
		   .summary = "a relu without edge: x times the normal probability of less",
		   .options = options,
		   .params_size = sizeof(struct gelu_params) },
	.reads_in = true,
	.in_place = true,
	.critical = 2, /* relu's, which it approaches away from 0 */
	.forward = forward,
	.backward = backward,
};
