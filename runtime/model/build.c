/* Puts a model together: its layers and who feeds whom, its tensors, its loss. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/device/team.h"
#include "runtime/model/list.h"
#include "runtime/model/stage.h"

/* Numbers of a tensor, or of what a layer makes of a batch: no memory holds more, and up to here
 * sizes in bytes do not overflow. */
#define MOST_NUMBERS 0x1p48

struct model_builder {
	struct model *model;
	int here; /* the stage that feeds the next, or FROM_BATCH */
};

static const struct shape *shape_of(const struct model *model, int stage)
{
	return stage == FROM_BATCH ? &model->env.input : &model->stages[stage].plan.output;
}

static void add_tensor(struct model *model, struct stage *stage, size_t i)
{
	const struct layer_tensor *wanted = &stage->plan.tensor[i];
	struct tensor *tensor;

	model->tensors = xgrow(model->tensors, model->tensor_count, sizeof(*model->tensors));
	stage->tensor[i] = model->tensor_count;
	tensor = &model->tensors[model->tensor_count++];
	*tensor = (struct tensor){ .shape = wanted->shape,
				   .offset = model->count,
				   .count = shape_count(&wanted->shape),
				   .rate = wanted->rate };
	snprintf(tensor->name, sizeof(tensor->name), "%s.%s", stage->name, wanted->suffix);
	model->count += tensor->count;
}

/* Tensor 0 of `stage` is the one that an earlier stage has under the name plan.tied. */
static int tie(struct model *model, struct stage *stage, struct error *err)
{
	const struct shape *wanted = &stage->plan.tensor[0].shape;

	for (size_t i = 0; i + 1 < model->stage_count; i++) {
		struct stage *owner = &model->stages[i];
		size_t number = owner->tensor[0];

		if (owner->plan.tensors == 0 || owner->plan.tied ||
		    strcmp(model->tensors[number].name, stage->plan.tied) != 0)
			continue;
		if (!owner->layer->accumulates)
			return error_set(err, "a layer of kind '%s' cannot share '%s'",
					 owner->layer->entry.name, stage->plan.tied);
		if (owner->shared)
			return error_set(err, "'%s' is shared by another layer already",
					 stage->plan.tied);
		if (memcmp(&model->tensors[number].shape, wanted, sizeof(*wanted)) != 0)
			return error_set(err, "'%s' has not the shape that is needed here",
					 stage->plan.tied);
		stage->tensor[0] = number;
		owner->shared = true;
		return 0;
	}
	return error_set(err, "no layer before it has a tensor '%s' to share", stage->plan.tied);
}

static int add_tensors(struct model *model, struct stage *stage, struct error *err)
{
	stage->offset = model->count;
	if (stage->plan.tied && tie(model, stage, err) < 0)
		return -1;
	for (size_t i = stage->plan.tied ? 1 : 0; i < stage->plan.tensors; i++)
		add_tensor(model, stage, i);
	stage->count = model->count - stage->offset;
	return 0;
}

/* What the weights of the layers in front of an activation have to know of it. */
static void note_activation(struct model *model, int from, double critical)
{
	for (; from != FROM_BATCH; from = model->stages[from].from[0]) {
		struct stage *stage = &model->stages[from];

		if (stage->critical == 0)
			stage->critical = critical;
		if (stage->plan.tensors > 0)
			break;
	}
}

/* A relu is done by the layer before it, if that can and nobody else wants to see it without. */
static bool absorb_relu(struct model_builder *builder, const struct layer *layer)
{
	struct stage *before;

	if (!layer->is_relu || builder->here == FROM_BATCH)
		return false;
	before = &builder->model->stages[builder->here];
	if (!before->layer->takes_relu || before->relu || before->marked)
		return false;
	before->relu = true;
	return true;
}

static int check_input(const struct model *model, const struct stage *stage, struct error *err)
{
	if (stage->from[0] == FROM_BATCH && model->env.sparse && !stage->layer->takes_sparse)
		return error_set(err,
				 "a layer of kind '%s' cannot read sparse samples; begin with "
				 "'linear' or 'embedding_bag'",
				 stage->layer->entry.name);
	if (stage->from[0] != FROM_BATCH && stage->layer->takes_words)
		return error_set(err,
				 "a layer of kind '%s' reads the words of the samples; nothing can "
				 "come before it",
				 stage->layer->entry.name);
	return 0;
}

static double numbers(const struct shape *shape)
{
	double product = 1;

	for (size_t i = 0; i < shape->rank; i++)
		product *= (double)shape->dim[i];
	return product;
}

static int check_size(const struct model *model, const struct stage *stage, struct error *err)
{
	const struct layer_plan *plan = &stage->plan;
	char text[SHAPE_TEXT];

	if ((double)model->env.max_batch * numbers(&plan->output) > MOST_NUMBERS)
		return error_set(err, "%zu samples of %s are too much for any memory",
				 model->env.max_batch, shape_show(text, &plan->output));
	for (size_t i = 0; i < plan->tensors; i++)
		if (numbers(&plan->tensor[i].shape) > MOST_NUMBERS)
			return error_set(err, "a '%s' of %s is too much for any memory",
					 plan->tensor[i].suffix,
					 shape_show(text, &plan->tensor[i].shape));
	return 0;
}

static int add_stage(struct model_builder *builder, const char *name, const struct layer *layer,
		     const void *params, const int *from, size_t fed_by, struct error *err)
{
	const struct entry *entry = &layer->entry;
	struct model *model = builder->model;
	struct stage *stage;

	model->stages = xgrow(model->stages, model->stage_count, sizeof(*stage));
	stage = &model->stages[model->stage_count++];
	*stage = (struct stage){ .layer = layer,
				 .name = xstrdup(name),
				 .params = xcalloc(1, entry->params_size),
				 .fed_by = fed_by,
				 .input = *shape_of(model, from[0]) };
	stage->plan.output = stage->input;
	if (entry->params_size)
		memcpy(stage->params, params, entry->params_size);
	for (size_t i = 0; i < fed_by; i++) {
		stage->from[i] = from[i];
		if (from[i] != FROM_BATCH)
			model->stages[from[i]].readers++;
	}
	if (check_input(model, stage, err) < 0 ||
	    (layer->plan &&
	     layer->plan(stage->params, &stage->input, &model->env, &stage->plan, err) < 0) ||
	    check_size(model, stage, err) < 0 || add_tensors(model, stage, err) < 0)
		return error_prefix(err, "layer '%s'", name);
	stage->inputs = shape_count(&stage->input);
	stage->outputs = shape_count(&stage->plan.output);
	builder->here = (int)model->stage_count - 1;
	return 0;
}

int model_add(struct model_builder *builder, const char *name, const char *layer,
	      const void *params, struct error *err)
{
	const struct layer *found = (const struct layer *)registry_find(&layers, layer);

	assert(found && !found->joins);
	if (found->critical > 0)
		note_activation(builder->model, builder->here, found->critical);
	if (absorb_relu(builder, found))
		return 0;
	return add_stage(builder, name, found, params, &builder->here, 1, err);
}

int model_mark(struct model_builder *builder)
{
	if (builder->here != FROM_BATCH)
		builder->model->stages[builder->here].marked = true;
	return builder->here;
}

void model_go(struct model_builder *builder, int mark)
{
	builder->here = mark;
}

int model_join(struct model_builder *builder, int mark, const char *name, const char *layer,
	       const void *params, struct error *err)
{
	const struct layer *found = (const struct layer *)registry_find(&layers, layer);
	int from[STAGE_INPUTS] = { mark, builder->here };
	const struct shape *shapes[] = { shape_of(builder->model, from[0]),
					 shape_of(builder->model, from[1]) };
	char texts[STAGE_INPUTS][SHAPE_TEXT];

	assert(found && found->joins);
	if (memcmp(shapes[0], shapes[1], sizeof(struct shape)) != 0)
		return error_set(err,
				 "layer '%s': cannot join %s with %s; the shortcut has to end in "
				 "the shape that the block does",
				 name, shape_show(texts[0], shapes[0]),
				 shape_show(texts[1], shapes[1]));
	if (from[0] == from[1])
		return error_set(err, "layer '%s': there is nothing between what it joins", name);
	return add_stage(builder, name, found, params, from, STAGE_INPUTS, err);
}

const struct shape *model_shape(const struct model_builder *builder)
{
	return shape_of(builder->model, builder->here);
}

int model_set_loss(struct model_builder *builder, const char *loss, struct error *err)
{
	const struct entry *entry = registry_find(&losses, loss);
	struct model *model = builder->model;
	size_t outputs = shape_count(model_shape(builder)), labels = model_labels(model);

	assert(entry);
	model->loss = (const struct loss *)entry;
	if (outputs % labels != 0)
		return error_set(err,
				 "%zu outputs are not the same number for each of %zu targets; "
				 "use model 'gpt' for texts, or begin with 'embedding'",
				 outputs, labels);
	return model->loss->check(model->env.classes, outputs / labels, err);
}

int model_set_usual_loss(struct model_builder *builder, struct error *err)
{
	const struct model *model = builder->model;
	size_t outputs = shape_count(model_shape(builder));

	if (model->env.classes == 0)
		return model_set_loss(builder, "mean_squared_error", err);
	if (model->env.classes == 2 && outputs == model_labels(model))
		return model_set_loss(builder, "logistic", err);
	return model_set_loss(builder, "softmax_cross_entropy", err);
}

/* What each member of the team needs for the neediest layer. */
static void reserve_workspaces(const struct model *model)
{
	size_t most = 0;

	for (size_t i = 0; i < model->stage_count; i++)
		if (model->stages[i].plan.workspace_bytes > most)
			most = model->stages[i].plan.workspace_bytes;
	team_reserve(model->env.team, most);
}

static void begin(struct model_builder *builder, const struct model_env *env)
{
	*builder = (struct model_builder){ .model = xcalloc(1, sizeof(*builder->model)),
					   .here = FROM_BATCH };
	builder->model->env = *env;
	if (!env->team)
		builder->model->env.team = builder->model->alone = team_new(1);
}

/* `status` says whether all layers could be added. */
static int finish(struct model_builder *builder, int status, struct model **out)
{
	struct model *model = builder->model;

	if (status < 0) {
		model_free(model);
		return -1;
	}
	assert(model->stage_count > 0 && model->loss);
	assert(builder->here == (int)model->stage_count - 1);
	if (!model->env.plan_only)
		reserve_workspaces(model);
	model_place(model);
	*out = model;
	return 0;
}

int model_new(struct model **out, const struct part *preset, const struct model_env *env,
	      struct error *err)
{
	const struct preset *chosen = PART_AS(preset, struct preset);
	struct model_builder builder;
	int status;

	begin(&builder, env);
	status = chosen->build(preset->params, env, &builder, err);
	if (status < 0)
		error_prefix(err, "model '%s'", preset->entry->name);
	return finish(&builder, status, out);
}

int model_new_listed(struct model **out, const struct layer_list *list, const struct model_env *env,
		     struct error *err)
{
	struct model_builder builder;
	int status;

	begin(&builder, env);
	status = layer_list_build(list, &builder, err);
	if (status == 0 && builder.model->count == 0) {
		error_set(err, "no layer has weights to train");
		status = place_prefix(err, list->place);
	}
	return finish(&builder, status, out);
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->stage_count; i++) {
		free(model->stages[i].name);
		free(model->stages[i].params);
	}
	team_free(model->alone);
	free(model->arena);
	free(model->stages);
	free(model->tensors);
	free(model);
}
