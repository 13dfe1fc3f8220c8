/* Numbers of words become rows of a table. A later linear layer may share the table. */
#include <string.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/device/cpu.h"
#include "runtime/device/team.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"
#include "runtime/slice.h"

static const struct opt options[] = {
	{ "rows", OPT_COUNT, offsetof(struct embedding_params, rows), "0",
	  "how many words; 0: as many as the data knows", .min = 0, .max = 1 << 24 },
	{ "width", OPT_COUNT, offsetof(struct embedding_params, width), NULL,
	  "numbers that stand for a word", .min = 1, .max = 65536 },
	{ 0 }
};

static int plan_embedding(const void *params, const struct shape *input,
			  const struct model_env *env, struct layer_plan *plan, struct error *err)
{
	const struct embedding_params *embedding = params;

	if (env->vocabulary == 0)
		return error_set(err, "the data has quantities, not numbers of words; begin with "
				      "another layer");
	if (input->rank != 1)
		return error_set(err, "words must be a plain sequence");
	if (embedding->rows && embedding->rows < env->vocabulary)
		return error_set(err, "the data knows %zu words, more than 'rows'",
				 env->vocabulary);
	plan->output = (struct shape){ .dim = { input->dim[0], embedding->width }, .rank = 2 };
	plan->tensor[0] = (struct layer_tensor){
		.suffix = "weight",
		.shape = { .dim = { embedding->rows ? embedding->rows : env->vocabulary,
				    embedding->width },
			   .rank = 2 },
		.init = INIT_NORMAL,
		.value = embedding->deviation > 0 ? embedding->deviation : 1,
	};
	plan->tensors = 1;
	return 0;
}

static size_t width_of(const struct layer_call *call)
{
	return call->outputs / call->inputs;
}

struct gather {
	const struct layer_call *call;
	const float *in;
	float *out;
};

static void gather(void *arg, size_t sample, size_t member)
{
	const struct gather *g = arg;
	size_t words = g->call->inputs, width = width_of(g->call);
	const float *in = g->in + sample * words;
	float *out = g->out + sample * g->call->outputs;

	(void)member;
	for (size_t i = 0; i < words; i++)
		memcpy(out + i * width, g->call->weight[0] + (size_t)in[i] * width,
		       width * sizeof(*out));
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct gather samples = { call, in, out };

	team_run(call->team, call->batch, gather, &samples);
}

enum { COLUMNS = 64 };

struct scatter {
	const struct layer_call *call;
	const float *in, *dout;
};

/* Some columns of all rows, so that each sum has one order. */
static void scatter(void *arg, size_t chunk, size_t member)
{
	const struct scatter *s = arg;
	size_t width = width_of(s->call), at = chunk * COLUMNS;
	size_t columns = width - at < COLUMNS ? width - at : COLUMNS;
	float *grad = s->call->grad[0] + at;

	(void)member;
	for (size_t i = 0; i < s->call->batch * s->call->inputs; i++)
		cpu_add(grad + (size_t)s->in[i] * width, s->dout + i * width + at, columns);
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	size_t width = width_of(call), count = shape_count(&call->plan->tensor[0].shape);
	struct scatter s = { call, in, dout };

	(void)out;
	(void)din;
	if (!call->accumulate)
		memset(call->grad[0], 0, count * sizeof(float));
	team_run(call->team, slice_pieces(width, COLUMNS), scatter, &s);
}

const struct layer layer_embedding = {
	.entry = { .name = "embedding",
		   .summary = "each word is a row of a table",
		   .options = options,
		   .params_size = sizeof(struct embedding_params) },
	.reads_in = true,
	.takes_words = true,
	.accumulates = true,
	.plan = plan_embedding,
	.forward = forward,
	.backward = backward,
};
