/*
 * Causal self-attention of several heads: c_attn gives queries, keys and values of all heads, in
 * this order; c_proj mixes what the heads found. Names and layouts are nanoGPT's.
 */
#include <math.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/device/attention.h"
#include "runtime/device/cpu.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/device/vector.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

enum { ATTN_WEIGHT, PROJ_WEIGHT, ATTN_BIAS, PROJ_BIAS };

static const struct opt options[] = {
	{ "heads", OPT_COUNT, offsetof(struct attention_params, heads), "1",
	  "parts of the channels that look for themselves", .min = 1, .max = 4096 },
	{ "causal", OPT_BOOL, offsetof(struct attention_params, causal), "yes",
	  "whether a position sees only those before it and itself" },
	{ "bias", OPT_BOOL, offsetof(struct attention_params, bias), "yes",
	  "whether something is added to queries, keys, values and results" },
	{ 0 }
};

static struct layer_tensor weight(const char *suffix, size_t outputs, size_t inputs,
				  double deviation)
{
	return (struct layer_tensor){
		.suffix = suffix,
		.shape = { .dim = { outputs, inputs }, .rank = 2 },
		.init = deviation > 0 ? INIT_NORMAL : INIT_UNIFORM,
		.value = deviation > 0 ? deviation : 1 / sqrt((double)inputs),
		.fan_in = inputs,
		.fan_out = outputs,
	};
}

static struct layer_tensor bias(const char *suffix, size_t outputs, size_t inputs, double deviation)
{
	return (struct layer_tensor){
		.suffix = suffix,
		.shape = { .dim = { outputs }, .rank = 1 },
		.init = INIT_UNIFORM,
		.value = deviation > 0 ? 0 : 1 / sqrt((double)inputs),
		.bias = true,
	};
}

static int plan_attention(const void *params, const struct shape *input,
			  const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	const struct attention_params *p = params;
	size_t positions = input->dim[0], width = input->dim[1];

	(void)env;
	if (input->rank != 2)
		return error_set(err, "it needs a sequence of vectors, as 'embedding' gives");
	if (width % p->heads != 0)
		return error_set(err, "%zu channels cannot be shared by %zu heads", width,
				 p->heads);
	plan->tensor[ATTN_WEIGHT] = weight("c_attn.weight", 3 * width, width, p->deviation);
	plan->tensor[PROJ_WEIGHT] = weight("c_proj.weight", width, width, p->last_deviation);
	plan->tensor[ATTN_BIAS] = bias("c_attn.bias", 3 * width, width, p->deviation);
	plan->tensor[PROJ_BIAS] = bias("c_proj.bias", width, width, p->deviation);
	plan->tensors = p->bias ? 4 : 2;
	plan->scratch_bytes = positions * (4 * width + 2 * p->heads) * sizeof(float);
	plan->workspace_bytes = attention_room(positions, width / p->heads) * sizeof(float);
	plan->flops = 2.0 * (double)(positions * width * (4 * width + 2 * positions));
	return 0;
}

/* What forward keeps: q, k and v of all samples, what the heads give, and what they know of their
 * scores. Backward overwrites all but the last. */
struct heads {
	const struct layer_call *call;
	size_t rows, positions, width;
	float *qkv, *y, *norm;
	attention_kernel *kernel;
};

static struct heads heads_of(const struct layer_call *call)
{
	size_t positions = call->input->dim[0], width = call->input->dim[1];
	size_t rows = call->batch * positions;
	float *scratch = call->scratch;

	return (struct heads){ .call = call,
			       .rows = rows,
			       .positions = positions,
			       .width = width,
			       .qkv = scratch,
			       .y = scratch + rows * 3 * width,
			       .norm = scratch + rows * 4 * width };
}

static void one_head(void *arg, size_t chunk, size_t member)
{
	const struct heads *h = arg;
	const struct attention_params *params = h->call->params;
	size_t sample = chunk / params->heads, head = chunk % params->heads;
	size_t width = h->width / params->heads, first = sample * h->positions;
	float *q = h->qkv + first * 3 * h->width + head * width;
	float *k = q + h->width, *v = k + h->width, *y = h->y + first * h->width + head * width;

	h->kernel(&(struct attention){
		.positions = h->positions,
		.width = width,
		.step = 3 * h->width,
		.y_step = h->width,
		.causal = params->causal,
		.q = q,
		.k = k,
		.v = v,
		.dy = y,
		.y = y,
		.norm = h->norm + chunk * 2 * h->positions,
		.dq = q,
		.dk = k,
		.dv = v,
		.room = team_workspace(h->call->team, member),
	});
}

static void run_heads(struct heads *heads, attention_kernel *kernel)
{
	const struct attention_params *params = heads->call->params;

	heads->kernel = kernel;
	team_run(heads->call->team, heads->call->batch * params->heads, one_head, heads);
}

/* out = in W^T + b */
static void linear(const struct heads *h, const float *in, size_t inputs, size_t which, float *out,
		   size_t outputs)
{
	const struct attention_params *params = h->call->params;

	cpu_gemm(&(struct cpu_gemm){
		.tb = true,
		.m = h->rows,
		.n = outputs,
		.k = inputs,
		.a = in,
		.b = h->call->weight[which],
		.bias = params->bias ? h->call->weight[which + ATTN_BIAS] : NULL,
		.c = out,
		.team = h->call->team,
	});
}

/* dW = dy^T x, db = the sum of dy over rows */
static void linear_grads(const struct heads *h, const float *in, size_t inputs, size_t which,
			 const float *dout, size_t outputs)
{
	const struct attention_params *params = h->call->params;

	cpu_gemm(&(struct cpu_gemm){
		.ta = true,
		.m = outputs,
		.n = inputs,
		.k = h->rows,
		.a = dout,
		.b = in,
		.c = h->call->grad[which],
		.team = h->call->team,
	});
	if (params->bias)
		vector_sum_rows(h->call->team, h->call->grad[which + ATTN_BIAS], dout, h->rows,
				outputs);
}

/* dx = dy W */
static void linear_slopes(const struct heads *h, const float *dout, size_t outputs, size_t which,
			  float *din, size_t inputs)
{
	cpu_gemm(&(struct cpu_gemm){
		.m = h->rows,
		.n = inputs,
		.k = outputs,
		.a = dout,
		.b = h->call->weight[which],
		.c = din,
		.team = h->call->team,
	});
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct heads h = heads_of(call);

	linear(&h, in, h.width, ATTN_WEIGHT, h.qkv, 3 * h.width);
	run_heads(&h, kernels()->attention);
	linear(&h, h.y, h.width, PROJ_WEIGHT, out, h.width);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	struct heads h = heads_of(call);

	(void)out;
	linear_grads(&h, h.y, h.width, PROJ_WEIGHT, dout, h.width);
	linear_slopes(&h, dout, h.width, PROJ_WEIGHT, h.y, h.width);
	run_heads(&h, kernels()->attention_slopes);
	linear_grads(&h, in, h.width, ATTN_WEIGHT, h.qkv, 3 * h.width);
	if (din)
		linear_slopes(&h, h.qkv, 3 * h.width, ATTN_WEIGHT, din, h.width);
}

const struct layer layer_attention = {
	.entry = { .name = "attention",
		   .summary = "each position takes from those that answer its question",
		   .options = options,
		   .params_size = sizeof(struct attention_params) },
	.reads_in = true,
	.plan = plan_attention,
	.forward = forward,
	.backward = backward,
};
