/* Adds a learned vector to each position of a sequence. */
#include "lib/error.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/device/vector.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

static int plan_positions(const void *params, const struct shape *input,
			  const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	const struct position_params *position = params;

	(void)env;
	if (input->rank != 2)
		return error_set(err, "it needs a sequence of vectors, as 'embedding' gives");
	plan->tensor[0] = (struct layer_tensor){
		.suffix = "weight",
		.shape = *input,
		.init = INIT_NORMAL,
		.value = position->deviation > 0 ? position->deviation : 1,
	};
	plan->tensors = 1;
	return 0;
}

struct samples {
	const struct layer_call *call;
	const float *in;
	float *out;
};

static void add_positions(void *arg, size_t sample, size_t member)
{
	const struct samples *s = arg;
	size_t count = s->call->inputs;

	(void)member;
	kernels()->sum(s->out + sample * count, s->in + sample * count, s->call->weight[0], count,
		       false);
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct samples samples = { call, in, out };

	team_run(call->team, call->batch, add_positions, &samples);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	size_t count = call->inputs;

	(void)in;
	(void)out;
	vector_sum_rows(call->team, call->grad[0], dout, call->batch, count);
	if (din && din != dout)
		vector_copy(call->team, din, dout, call->batch * count);
}

const struct layer layer_positional_embedding = {
	.entry = { .name = "positional_embedding",
		   .summary = "adds a learned vector to each position of a sequence",
		   .params_size = sizeof(struct position_params) },
	.in_place = true,
	.plan = plan_positions,
	.forward = forward,
	.backward = backward,
};
