/* Each position of a sequence, or each sample of anything else, to mean 0 and variance 1, then a
 * factor and an addend for each feature. */
#include <string.h>

#include "lib/error.h"
#include "runtime/device/kernels.h"
#include "runtime/device/norm.h"
#include "runtime/device/team.h"
#include "runtime/model/layer.h"

enum { WEIGHT, BIAS };
/* Rows are cut into so many parts, whose sums are added in order; or fewer. */
enum { PARTS = 16 };

static const float epsilon = 1e-5f;

static size_t width_of(const struct shape *input)
{
	return input->dim[input->rank - 1];
}

static int plan_norm(const void *params, const struct shape *input, const struct model_env *env,
		     struct layer_plan *plan, struct error *err)
{
	size_t width = width_of(input), rows = shape_count(input) / width;
	struct layer_tensor tensor = { .shape = { .dim = { width }, .rank = 1 } };

	(void)params;
	(void)env;
	if (input->rank > 2)
		return error_set(err, "it needs features, or a sequence of vectors; for images see "
				      "'group_norm'");
	tensor.suffix = "weight";
	tensor.value = 1;
	plan->tensor[WEIGHT] = tensor;
	tensor.suffix = "bias";
	tensor.value = 0;
	plan->tensor[BIAS] = tensor;
	plan->tensors = 2;
	plan->scratch_bytes = rows * 2 * sizeof(float);
	plan->flops = 2.0 * (double)shape_count(input);
	plan->kept_bytes = PARTS * 2 * width * sizeof(float);
	return 0;
}

struct norm {
	const struct layer_call *call;
	const float *in, *dout;
	float *out, *din;
	size_t width, rows;
};

static struct norm norm_of(const struct layer_call *call)
{
	size_t width = width_of(call->input);

	return (struct norm){ .call = call,
			      .width = width,
			      .rows = call->batch * (call->inputs / width) };
}

/* The first row of a part. */
static size_t begin(const struct norm *n, size_t part)
{
	return n->rows * part / PARTS;
}

static void forward_part(void *arg, size_t part, size_t member)
{
	const struct norm *n = arg;
	size_t first = begin(n, part);

	(void)member;
	kernels()->norm_rows(&(struct norm_rows){
		.rows = begin(n, part + 1) - first,
		.count = n->width,
		.x = n->in + first * n->width,
		.weight = n->call->weight[WEIGHT],
		.bias = n->call->weight[BIAS],
		.epsilon = epsilon,
		.stats = (float *)n->call->scratch + 2 * first,
		.y = n->out + first * n->width,
	});
}

static void forward(const struct layer_call *call, const float *in, float *out)
{
	struct norm n = norm_of(call);

	n.in = in;
	n.out = out;
	team_run(call->team, PARTS, forward_part, &n);
}

static void backward_part(void *arg, size_t part, size_t member)
{
	const struct norm *n = arg;
	size_t first = begin(n, part);
	float *sums = (float *)n->call->kept + part * 2 * n->width;

	(void)member;
	memset(sums, 0, 2 * n->width * sizeof(*sums));
	kernels()->norm_rows_slopes(&(struct norm_slopes){
		.rows = begin(n, part + 1) - first,
		.count = n->width,
		.x = n->in + first * n->width,
		.weight = n->call->weight[WEIGHT],
		.stats = (const float *)n->call->scratch + 2 * first,
		.dy = n->dout + first * n->width,
		.dx = n->din ? n->din + first * n->width : NULL,
		.dweight = sums,
		.dbias = sums + n->width,
	});
}

static void backward(const struct layer_call *call, const float *in, const float *out, float *dout,
		     float *din)
{
	struct norm n = norm_of(call);
	const float *sums = call->kept;

	(void)out;
	n.in = in;
	n.dout = dout;
	n.din = din;
	team_run(call->team, PARTS, backward_part, &n);
	kernels()->sum_rows(call->grad[WEIGHT], sums, PARTS, 2 * n.width, n.width);
	kernels()->sum_rows(call->grad[BIAS], sums + n.width, PARTS, 2 * n.width, n.width);
}

const struct layer layer_layer_norm = {
	.entry = { .name = "layer_norm",
		   .summary = "brings each position to mean 0 and variance 1, then scales it" },
	.reads_in = true,
	.in_place = true,
	.plan = plan_norm,
	.forward = forward,
	.backward = backward,
};
