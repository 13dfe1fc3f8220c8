/*
 * The mean (or sum) of the vectors of a sample's words: sparse rows in, where a column is a word
 * and its value how often it is there.
 */
#include <math.h>
#include <string.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/device/cpu.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

static const char *const modes[] = { "mean", "sum", NULL };

static const struct opt options[] = {
	{ "width", OPT_COUNT, offsetof(struct embedding_bag_params, width), NULL,
	  "numbers that stand for one word", .min = 1, .max = 1 << 20 },
	{ "mode", OPT_CHOICE, offsetof(struct embedding_bag_params, mode), "mean",
	  "what is made of the vectors of a sample", .choices = modes },
	{ 0 }
};

static int plan_bag(const void *params, const struct shape *input, const struct model_env *env,
		    struct layer_plan *plan, struct error *err)
{
	const struct embedding_bag_params *bag = params;

	if (!env->sparse)
		return error_set(err,
				 "needs sparse samples, as of format 'libsvm' or text columns");
	plan->output = (struct shape){ .dim = { bag->width }, .rank = 1 };
	plan->tensor[0] = (struct layer_tensor){
		.suffix = "weight",
		.shape = { .dim = { input->dim[0], bag->width }, .rank = 2 },
		.init = INIT_NORMAL,
		.value = 1,
	};
	plan->tensors = 1;
	return 0;
}

/* What each vector of the row is multiplied by, beside its value. */
static float share(const struct embedding_bag_params *bag, const struct sparse_row *row)
{
	float sum = 0;

	if (bag->mode == BAG_SUM)
		return 1;
	for (size_t k = 0; k < row->count; k++)
		sum += row->value[k];
	return sum != 0 ? 1 / sum : 0;
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	size_t width = call->outputs;

	(void)in;
	memset(out, 0, call->batch * width * sizeof(*out));
	for (size_t i = 0; i < call->batch; i++) {
		const struct sparse_row *row = &call->rows[i];
		float each = share(call->params, row);

		for (size_t k = 0; k < row->count; k++)
			cpu_axpy(out + i * width, each * row->value[k],
				 call->weight[0] + row->index[k] * width, width);
	}
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	size_t width = call->outputs;
	float *grad = call->grad[0];

	(void)in;
	(void)out;
	(void)din;
	if (!call->accumulate)
		memset(grad, 0, call->inputs * width * sizeof(*grad));
	for (size_t i = 0; i < call->batch; i++) {
		const struct sparse_row *row = &call->rows[i];
		float each = share(call->params, row);

		for (size_t k = 0; k < row->count; k++)
			cpu_axpy(grad + row->index[k] * width, each * row->value[k],
				 dout + i * width, width);
	}
}

const struct layer layer_embedding_bag = {
	.entry = { .name = "embedding_bag",
		   .summary = "the mean of the vectors of a sample's words",
		   .options = options,
		   .params_size = sizeof(struct embedding_bag_params) },
	.takes_sparse = true,
	.accumulates = true,
	.plan = plan_bag,
	.forward = forward,
	.backward = backward,
};
