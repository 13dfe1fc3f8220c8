/* y = W x + b, with PyTorch's layout and initial range. */
#include <math.h>
#include <string.h>

#include "lib/opt.h"
#include "runtime/device/cpu.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

enum { WEIGHT, BIAS, TENSORS };

static const struct opt options[] = { { "outputs", OPT_COUNT,
					offsetof(struct linear_params, outputs), NULL,
					"numbers it gives per sample", .min = 1, .max = 65536 },
				      { 0 } };

static int plan_linear(const void *params, const struct shape *input, struct layer_plan *plan,
		       struct error *err)
{
	const struct linear_params *linear = params;
	size_t inputs = shape_count(input);
	double bound = 1 / sqrt((double)inputs);

	(void)err;
	plan->output = (struct shape){ .dim = { linear->outputs }, .rank = 1 };
	plan->tensor[WEIGHT].suffix = "weight";
	plan->tensor[WEIGHT].shape =
		(struct shape){ .dim = { linear->outputs, inputs }, .rank = 2 };
	plan->tensor[WEIGHT].init_bound = bound;
	plan->tensor[BIAS].suffix = "bias";
	plan->tensor[BIAS].shape = plan->output;
	plan->tensor[BIAS].init_bound = bound;
	plan->tensors = TENSORS;
	return 0;
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	for (size_t i = 0; i < call->batch; i++)
		memcpy(out + i * call->outputs, call->weight[BIAS], call->outputs * sizeof(*out));
	cpu_gemm(&(struct cpu_gemm){
		.tb = true,
		.m = call->batch,
		.n = call->outputs,
		.k = call->inputs,
		.a = in,
		.b = call->weight[WEIGHT],
		.beta = 1,
		.c = out,
	});
}

/* dW = dy^T x, db = the sum of dy over samples, dx = dy W */
static void backward(const struct layer_call *call, const float *in, const float *out,
		     const float *dout, float *din)
{
	(void)out;
	cpu_gemm(&(struct cpu_gemm){
		.ta = true,
		.m = call->outputs,
		.n = call->inputs,
		.k = call->batch,
		.a = dout,
		.b = in,
		.c = call->grad[WEIGHT],
	});
	memset(call->grad[BIAS], 0, call->outputs * sizeof(float));
	for (size_t i = 0; i < call->batch; i++)
		cpu_add(call->grad[BIAS], dout + i * call->outputs, call->outputs);
	if (!din)
		return;
	cpu_gemm(&(struct cpu_gemm){
		.m = call->batch,
		.n = call->inputs,
		.k = call->outputs,
		.a = dout,
		.b = call->weight[WEIGHT],
		.c = din,
	});
}

const struct layer layer_linear = {
	.entry = { .name = "linear",
		   .summary = "every output is a weighted sum of all inputs, and a bias",
		   .options = options,
		   .params_size = sizeof(struct linear_params) },
	.plan = plan_linear,
	.forward = forward,
	.backward = backward,
};
