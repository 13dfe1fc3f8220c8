/* A chain of layers and a loss over one block of parameters. All memory is taken when it is built.
 */
#include "runtime/model/model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/model/layer.h"
#include "runtime/rng.h"

struct stage {
	const struct layer *layer;
	void *params; /* owned */
	struct shape input;
	struct layer_plan plan;
	size_t inputs, outputs; /* per sample */
	size_t first_tensor;	/* of plan.tensors */
	size_t offset, count;	/* its floats within the blocks */
	float *out;		/* [max_batch][outputs], owned */
	void *scratch;		/* [max_batch][plan.scratch_bytes], owned */
};

struct model {
	struct stage *stages;
	size_t stage_count;
	struct tensor *tensors;
	size_t tensor_count;
	size_t count;
	const struct loss *loss;
	size_t max_batch;
	uint64_t seed;
	float *slopes[2]; /* the loss's derivatives by the output and by the input of a stage */
};

struct model_builder {
	struct model *model;
	const struct model_env *env;
	struct shape output; /* so far */
};

static void add_tensors(struct model *model, struct stage *stage, const char *name)
{
	const struct layer_plan *plan = &stage->plan;

	stage->first_tensor = model->tensor_count;
	stage->offset = model->count;
	model->tensors = xrealloc(model->tensors, model->tensor_count + plan->tensors,
				  sizeof(*model->tensors));
	for (size_t i = 0; i < plan->tensors; i++) {
		struct tensor *tensor = &model->tensors[model->tensor_count++];

		*tensor = (struct tensor){ .shape = plan->tensor[i].shape, .offset = model->count };
		snprintf(tensor->name, sizeof(tensor->name), "%s.%s", name, plan->tensor[i].suffix);
		tensor->count = shape_count(&tensor->shape);
		model->count += tensor->count;
	}
	stage->count = model->count - stage->offset;
}

int model_add(struct model_builder *builder, const char *name, const char *layer,
	      const void *params, struct error *err)
{
	const struct entry *entry = registry_find(&layers, layer);
	struct model *model = builder->model;
	struct stage *stage;

	assert(entry);
	model->stages = xrealloc(model->stages, model->stage_count + 1, sizeof(*stage));
	stage = &model->stages[model->stage_count++];
	*stage = (struct stage){
		.layer = (const struct layer *)entry,
		.params = xcalloc(1, entry->params_size),
		.input = builder->output,
		.plan.output = builder->output,
	};
	if (entry->params_size)
		memcpy(stage->params, params, entry->params_size);
	if (stage->layer->plan &&
	    stage->layer->plan(stage->params, &stage->input, &stage->plan, err) < 0)
		return error_prefix(err, "layer '%s'", name);
	stage->inputs = shape_count(&stage->input);
	stage->outputs = shape_count(&stage->plan.output);
	add_tensors(model, stage, name);
	builder->output = stage->plan.output;
	return 0;
}

int model_set_loss(struct model_builder *builder, const char *loss, struct error *err)
{
	const struct entry *entry = registry_find(&losses, loss);

	assert(entry);
	builder->model->loss = (const struct loss *)entry;
	return builder->model->loss->check(builder->env->classes, shape_count(&builder->output),
					   err);
}

static void take_memory(struct model *model)
{
	size_t widest = 0;

	for (size_t i = 0; i < model->stage_count; i++) {
		struct stage *stage = &model->stages[i];

		stage->out = xaligned(model->max_batch * stage->outputs * sizeof(float));
		stage->scratch = xaligned(model->max_batch * stage->plan.scratch_bytes);
		widest = stage->outputs > widest ? stage->outputs : widest;
	}
	for (size_t i = 0; i < ARRAY_SIZE(model->slopes); i++)
		model->slopes[i] = xaligned(model->max_batch * widest * sizeof(float));
}

int model_new(struct model **out, const struct part *preset, const struct model_env *env,
	      struct error *err)
{
	const struct preset *chosen = PART_AS(preset, struct preset);
	struct model *model = xcalloc(1, sizeof(*model));
	struct model_builder builder = { .model = model, .env = env, .output = env->input };

	model->max_batch = env->max_batch;
	model->seed = env->seed;
	if (chosen->build(preset->params, env, &builder, err) < 0) {
		model_free(model);
		return error_prefix(err, "model '%s'", preset->entry->name);
	}
	assert(model->stage_count > 0 && model->loss);
	take_memory(model);
	*out = model;
	return 0;
}

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

static void init_tensor(const struct tensor *tensor, double bound, struct rng rng, float *weight)
{
	for (size_t i = 0; i < tensor->count; i++)
		weight[tensor->offset + i] = (float)((2 * rng_uniform(&rng, i) - 1) * bound);
}

void model_init(const struct model *model, float *weight)
{
	for (size_t i = 0; i < model->stage_count; i++) {
		const struct stage *stage = &model->stages[i];

		for (size_t j = 0; j < stage->plan.tensors; j++) {
			size_t number = stage->first_tensor + j;

			init_tensor(&model->tensors[number], stage->plan.tensor[j].init_bound,
				    rng_make(model->seed, RNG_INIT, number, 0), weight);
		}
	}
}

/* A call of stage i on a batch, without its tensors. */
static struct layer_call make_call(const struct model *model, size_t i, const struct batch *batch)
{
	const struct stage *stage = &model->stages[i];

	return (struct layer_call){
		.params = stage->params,
		.batch = batch->count,
		.inputs = stage->inputs,
		.outputs = stage->outputs,
		.scratch = stage->scratch,
		.training = batch->training,
		.rng = rng_make(model->seed, RNG_DROPOUT, i, batch->step),
		.first = batch->first,
	};
}

void model_forward(struct model *model, const float *weight, const struct batch *batch,
		   struct score *score)
{
	const float *in = batch->x;
	size_t outputs = 0;

	assert(batch->count <= model->max_batch);
	for (size_t i = 0; i < model->stage_count; i++) {
		const struct stage *stage = &model->stages[i];
		struct layer_call call = make_call(model, i, batch);
		const float *weights[LAYER_TENSORS];

		for (size_t j = 0; j < stage->plan.tensors; j++)
			weights[j] = weight + model->tensors[stage->first_tensor + j].offset;
		call.weight = weights;
		stage->layer->forward(&call, in, stage->out);
		in = stage->out;
		outputs = stage->outputs;
	}
	*score = (struct score){ .count = batch->count };
	model->loss->evaluate(in, batch->targets, batch->count, outputs, 0, score, NULL);
}

const float *model_outputs(const struct model *model, size_t *outputs)
{
	const struct stage *last = &model->stages[model->stage_count - 1];

	*outputs = last->outputs;
	return last->out;
}

/* From the derivatives by the outputs of stage i to those by its tensors and its inputs. */
static void stage_backward(const struct model *model, size_t i, const float *weight,
			   const struct batch *batch, float *grad, const float *dout, float *din)
{
	const struct stage *stage = &model->stages[i];
	struct layer_call call = make_call(model, i, batch);
	const float *weights[LAYER_TENSORS];
	float *grads[LAYER_TENSORS];

	for (size_t j = 0; j < stage->plan.tensors; j++) {
		size_t offset = model->tensors[stage->first_tensor + j].offset;

		weights[j] = weight + offset;
		grads[j] = grad + offset;
	}
	call.weight = weights;
	call.grad = grads;
	stage->layer->backward(&call, i > 0 ? model->stages[i - 1].out : batch->x, stage->out, dout,
			       din);
}

void model_backward(struct model *model, const float *weight, const struct batch *batch,
		    float *grad, model_ready *ready, void *arg)
{
	float *dout = model->slopes[0], *din = model->slopes[1];
	struct score unused = { 0 };
	size_t outputs;
	const float *last = model_outputs(model, &outputs);

	model->loss->evaluate(last, batch->targets, batch->count, outputs, 1 / (float)batch->total,
			      &unused, dout);
	for (size_t i = model->stage_count; i-- > 0;) {
		const struct stage *stage = &model->stages[i];
		float *kept = dout;

		if (i > 0 || stage->count > 0)
			stage_backward(model, i, weight, batch, grad, dout, i > 0 ? din : NULL);
		if (stage->count > 0)
			ready(arg, stage->offset, stage->count);
		dout = din;
		din = kept;
	}
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->stage_count; i++) {
		free(model->stages[i].params);
		free(model->stages[i].out);
		free(model->stages[i].scratch);
	}
	for (size_t i = 0; i < ARRAY_SIZE(model->slopes); i++)
		free(model->slopes[i]);
	free(model->stages);
	free(model->tensors);
	free(model);
}
