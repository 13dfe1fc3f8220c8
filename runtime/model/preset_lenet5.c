/*
 * LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998) as it is
 * written today: relu, max pooling, all maps connected. Planes of 28 x 28 are padded to the 32 x 32
 * of the paper.
 */
#include "lib/error.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

static int add_features(struct model_builder *builder, size_t padding, struct error *err)
{
	struct conv2d_params conv1 = { 6, .kernel = 5, .stride = 1, .padding = padding };
	struct conv2d_params conv2 = { 16, .kernel = 5, .stride = 1 };
	struct pool2d_params pool = { .kernel = 2 };

	conv1.groups = conv2.groups = 1;
	conv1.bias = conv2.bias = true;
	return model_add(builder, "conv1", "conv2d", &conv1, err) < 0 ||
			       model_add(builder, "relu1", "relu", NULL, err) < 0 ||
			       model_add(builder, "pool1", "max_pool2d", &pool, err) < 0 ||
			       model_add(builder, "conv2", "conv2d", &conv2, err) < 0 ||
			       model_add(builder, "relu2", "relu", NULL, err) < 0 ||
			       model_add(builder, "pool2", "max_pool2d", &pool, err) < 0 ||
			       model_add(builder, "flatten", "flatten", NULL, err) < 0
		       ? -1
		       : 0;
}

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	struct linear_params fc1 = { .outputs = 120, .bias = true };
	struct linear_params fc2 = { .outputs = 84, .bias = true };
	struct linear_params fc3 = { .bias = true };
	size_t padding = env->input.rank == 3 && env->input.dim[1] == 28 ? 2 : 0;

	(void)params;
	if (add_features(builder, padding, err) < 0 ||
	    model_add(builder, "fc1", "linear", &fc1, err) < 0 ||
	    model_add(builder, "relu3", "relu", NULL, err) < 0 ||
	    model_add(builder, "fc2", "linear", &fc2, err) < 0 ||
	    model_add(builder, "relu4", "relu", NULL, err) < 0 ||
	    model_add(builder, "fc3", "linear", &fc3, err) < 0)
		return -1;
	return model_set_usual_loss(builder, err);
}

const struct preset preset_lenet5 = {
	.entry = { .name = "lenet5", .summary = "two convolutions and three linear layers" },
	.build = build,
};
