/*
 * y = x W^T + b, over the last dimension of a sequence [positions][channels], over all features of
 * anything else. The weight may be shared with an embedding.
 */
#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/device/cpu.h"
#include "runtime/device/vector.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

enum { WEIGHT, BIAS };

static const struct opt options[] = {
	{ "outputs", OPT_COUNT, offsetof(struct linear_params, outputs), "0",
	  "how many; 0: one for each class, or one", .min = 0, .max = 1 << 24 },
	{ "bias", OPT_BOOL, offsetof(struct linear_params, bias), "yes",
	  "whether something is added to each output" },
	{ "tie", OPT_TEXT, offsetof(struct linear_params, tie), "",
	  "tensor of an earlier layer to use as the weight" },
	{ 0 }
};

/* Rows of the product of one sample. */
static size_t positions(const struct shape *input)
{
	return input->rank == 2 ? input->dim[0] : 1;
}

static int plan_linear(const void *params, const struct shape *input, const struct model_env *env,
		       struct layer_plan *plan, struct error *err)
{
	const struct linear_params *linear = params;
	size_t outputs = linear->outputs ? linear->outputs : env->classes ? env->classes : 1;
	size_t inputs = shape_count(input) / positions(input);
	double bound = 1 / sqrt((double)inputs);

	(void)err;
	plan->output = (struct shape){ .dim = { outputs }, .rank = 1 };
	if (input->rank == 2)
		plan->output = (struct shape){ .dim = { input->dim[0], outputs }, .rank = 2 };
	plan->tensor[WEIGHT] = (struct layer_tensor){
		.suffix = "weight",
		.shape = { .dim = { outputs, inputs }, .rank = 2 },
		.init = linear->deviation > 0 ? INIT_NORMAL : INIT_UNIFORM,
		.value = linear->deviation > 0 ? linear->deviation : bound,
		.fan_in = inputs,
		.fan_out = outputs,
	};
	plan->tensor[BIAS] = (struct layer_tensor){
		.suffix = "bias",
		.shape = { .dim = { outputs }, .rank = 1 },
		.init = INIT_UNIFORM,
		.value = linear->deviation > 0 ? 0 : bound,
		.bias = true,
	};
	plan->tensors = linear->bias ? 2 : 1;
	plan->tied = linear->tie;
	plan->flops = 2.0 * (double)(positions(input) * inputs * outputs);
	return 0;
}

static size_t rows_of(const struct layer_call *call)
{
	return call->batch * positions(call->input);
}

/* Features of a row, and outputs of one. */
static size_t row_inputs(const struct layer_call *call)
{
	return call->inputs / positions(call->input);
}

static size_t row_outputs(const struct layer_call *call)
{
	return call->outputs / positions(call->input);
}

static const float *bias_of(const struct layer_call *call)
{
	const struct linear_params *linear = call->params;

	return linear->bias ? call->weight[BIAS] : NULL;
}

static void forward_sparse(const struct layer_call *call, float *out)
{
	const float *bias = bias_of(call);

	for (size_t i = 0; i < call->batch; i++) {
		const struct sparse_row *row = &call->rows[i];

		for (size_t o = 0; o < call->outputs; o++) {
			const float *w = call->weight[WEIGHT] + o * call->inputs;
			float sum = bias ? bias[o] : 0;

			for (size_t k = 0; k < row->count; k++)
				sum += row->value[k] * w[row->index[k]];
			out[i * call->outputs + o] = sum;
		}
	}
	if (call->relu)
		vector_relu(call->team, out, out, call->batch * call->outputs);
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	if (call->rows) {
		forward_sparse(call, out);
		return;
	}
	cpu_gemm(&(struct cpu_gemm){
		.tb = true,
		.m = rows_of(call),
		.n = row_outputs(call),
		.k = row_inputs(call),
		.a = in,
		.b = call->weight[WEIGHT],
		.bias = bias_of(call),
		.relu = call->relu,
		.c = out,
		.team = call->team,
	});
}

static void backward_sparse(const struct layer_call *call, const float *dout)
{
	float *grad = call->grad[WEIGHT];

	memset(grad, 0, call->inputs * call->outputs * sizeof(*grad));
	for (size_t i = 0; i < call->batch; i++) {
		const struct sparse_row *row = &call->rows[i];

		for (size_t o = 0; o < call->outputs; o++) {
			float slope = dout[i * call->outputs + o];
			float *g = grad + o * call->inputs;

			for (size_t k = 0; k < row->count; k++)
				g[row->index[k]] += slope * row->value[k];
		}
	}
}

/* dW = dy^T x, db = the sum of dy over rows, dx = dy W */
static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	const struct linear_params *linear = call->params;
	size_t rows = rows_of(call), inputs = row_inputs(call), outputs = row_outputs(call);

	if (call->relu)
		vector_relu_slope(call->team, dout, out, dout, rows * outputs);
	if (call->rows)
		backward_sparse(call, dout);
	else
		cpu_gemm(&(struct cpu_gemm){
			.ta = true,
			.m = outputs,
			.n = inputs,
			.k = rows,
			.a = dout,
			.b = in,
			.c = call->grad[WEIGHT],
			.team = call->team,
		});
	if (linear->bias)
		vector_sum_rows(call->team, call->grad[BIAS], dout, rows, outputs);
	if (din)
		cpu_gemm(&(struct cpu_gemm){
			.m = rows,
			.n = inputs,
			.k = outputs,
			.a = dout,
			.b = call->weight[WEIGHT],
			.c = din,
			.team = call->team,
		});
}

const struct layer layer_linear = {
	.entry = { .name = "linear",
		   .summary = "every output is a weighted sum of all inputs, and a bias",
		   .options = options,
		   .params_size = sizeof(struct linear_params) },
	.reads_in = true,
	.takes_sparse = true,
	.takes_relu = true,
	.plan = plan_linear,
	.forward = forward,
	.backward = backward,
};
