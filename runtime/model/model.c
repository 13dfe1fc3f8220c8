/* Runs a model forward and backward. No call allocates. */
#include "runtime/model/model.h"

#include <assert.h>
#include <math.h>

#include "runtime/device/cpu.h"
#include "runtime/device/vector.h"
#include "runtime/model/stage.h"
#include "runtime/rng.h"

size_t model_count(const struct model *model)
{
	return model->count;
}

const struct tensor *model_tensors(const struct model *model, size_t *count)
{
	*count = model->tensor_count;
	return model->tensors;
}

const char *model_loss_name(const struct model *model)
{
	return model->loss->entry.name;
}

size_t model_arena_bytes(const struct model *model)
{
	return model->arena_bytes;
}

/* Derivatives by the weights and by the inputs cost a forward pass each; nobody wants those by the
 * samples. */
double model_flops(const struct model *model)
{
	double sum = 0;

	for (size_t i = 0; i < model->stage_count; i++)
		sum += (model->stages[i].from[0] == FROM_BATCH ? 2 : 3) *
		       model->stages[i].plan.flops;
	return sum;
}

bool model_row(const struct model *model, size_t i, struct model_row *row)
{
	const struct stage *stage = &model->stages[i];

	if (i >= model->stage_count)
		return false;
	*row = (struct model_row){
		.name = stage->name,
		.layer = stage->layer->entry.name,
		.relu = stage->relu,
		.output = stage->plan.output,
		.parameters = stage->count,
		.flops = stage->plan.flops,
		.bytes = (stage->in_place ? 0 : stage->outputs * sizeof(float)) +
			 stage->plan.scratch_bytes,
	};
	return true;
}

/* The tensors of one stage within a block. */
struct views {
	const float *weight[LAYER_TENSORS];
	float *grad[LAYER_TENSORS];
};

static struct layer_call make_call(const struct model *model, size_t i, const float *weight,
				   float *grad, const struct batch *batch, struct views *views)
{
	const struct stage *stage = &model->stages[i];

	for (size_t j = 0; j < stage->plan.tensors; j++) {
		size_t offset = model->tensors[stage->tensor[j]].offset;

		views->weight[j] = weight + offset;
		views->grad[j] = grad ? grad + offset : NULL;
	}
	return (struct layer_call){
		.params = stage->params,
		.plan = &stage->plan,
		.input = &stage->input,
		.output = &stage->plan.output,
		.batch = batch->count,
		.total = batch->total,
		.inputs = stage->inputs,
		.outputs = stage->outputs,
		.rows = stage->from[0] == FROM_BATCH ? batch->rows : NULL,
		.weight = views->weight,
		.grad = views->grad,
		.scratch = stage->scratch,
		.kept = stage->kept,
		.room = stage->room[grad ? 1 : 0],
		.team = model->env.team,
		.training = batch->training,
		.relu = stage->relu,
		.accumulate = stage->shared,
		.rng = rng_make(model->env.seed, RNG_DROPOUT, i, batch->step),
		.first = batch->first,
	};
}

/* What feeds a stage: NULL for sparse samples. */
static const float *input(const struct model *model, const struct stage *stage, size_t k,
			  const struct batch *batch)
{
	return stage->from[k] == FROM_BATCH ? batch->x : model->stages[stage->from[k]].out;
}

static void stage_forward(const struct model *model, size_t i, const float *weight,
			  const struct batch *batch)
{
	const struct stage *stage = &model->stages[i];
	struct views views;
	struct layer_call call = make_call(model, i, weight, NULL, batch, &views);

	if (stage->fed_by > 1)
		call.in2 = input(model, stage, 1, batch);
	stage->layer->forward(&call, input(model, stage, 0, batch), stage->out);
}

void model_forward(struct model *model, const float *weight, const struct batch *batch,
		   struct score *score)
{
	size_t labels = model_labels(model), outputs;
	const struct stage *last = &model->stages[model->stage_count - 1];
	struct loss_call loss;

	assert(batch->count <= model->env.max_batch);
	for (size_t i = 0; i < model->stage_count; i++)
		stage_forward(model, i, weight, batch);
	loss = (struct loss_call){
		.logits = model_outputs(model, &outputs),
		.targets = batch->targets,
		.rows = batch->count * labels,
		.outputs = outputs / labels,
		.scale = 1 / (float)(batch->total * labels),
		.dlogits = batch->training ? last->slope : NULL,
		.team = model->env.team,
	};
	*score = (struct score){ .count = loss.rows };
	model->loss->evaluate(&loss, score);
}

const float *model_outputs(const struct model *model, size_t *outputs)
{
	const struct stage *last = &model->stages[model->stage_count - 1];

	*outputs = last->outputs;
	return last->out;
}

/* Where the derivatives by input k go: NULL if nobody wants them. */
static float *input_slope(const struct model *model, const struct stage *stage, size_t k)
{
	if (stage->from[k] == FROM_BATCH)
		return NULL;
	return stage->addend[k] ? stage->addend[k] : model->stages[stage->from[k]].slope;
}

/* From the derivatives by the outputs of stage i to those by its tensors and its inputs. */
static void stage_backward(const struct model *model, size_t i, const float *weight,
			   const struct batch *batch, float *grad)
{
	const struct stage *stage = &model->stages[i];
	struct views views;
	struct layer_call call = make_call(model, i, weight, grad, batch, &views);
	const float *in = stage_reads_in(stage) ? input(model, stage, 0, batch) : NULL;
	const float *out = stage_reads_out(stage) ? stage->out : NULL;

	if (stage->fed_by > 1)
		call.din2 = input_slope(model, stage, 1);
	stage->layer->backward(&call, in, out, stage->slope, input_slope(model, stage, 0));
	for (size_t k = 0; k < stage->fed_by; k++)
		if (stage->addend[k])
			vector_add(model->env.team, model->stages[stage->from[k]].slope,
				   stage->addend[k], batch->count * stage->inputs);
}

void model_backward(struct model *model, const float *weight, const struct batch *batch,
		    float *grad, model_ready *ready, void *arg)
{
	assert(batch->training && !model->env.forward_only);
	for (size_t i = model->stage_count; i-- > 0;) {
		const struct stage *stage = &model->stages[i];

		if (stage->from[0] != FROM_BATCH || stage->plan.tensors > 0)
			stage_backward(model, i, weight, batch, grad);
		if (stage->count > 0)
			ready(arg, stage->offset, stage->count);
	}
}

static bool is_finite(const float *x, size_t count)
{
	return isfinite(cpu_sum_squares(x, count));
}

const char *model_nonfinite(struct model *model, const float *weight, const struct batch *batch)
{
	for (size_t i = 0; i < model->tensor_count; i++)
		if (!is_finite(weight + model->tensors[i].offset, model->tensors[i].count))
			return model->tensors[i].name;
	for (size_t i = 0; i < model->stage_count; i++) {
		stage_forward(model, i, weight, batch);
		if (!is_finite(model->stages[i].out, batch->count * model->stages[i].outputs))
			return model->stages[i].name;
	}
	return NULL;
}
