/* Softmax regression: one linear layer, a probability for each class. */
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	struct linear_params linear = { .outputs = env->classes, .bias = true };

	(void)params;
	if (model_add(builder, "fc1", "linear", &linear, err) < 0)
		return -1;
	return model_set_loss(builder, "softmax_cross_entropy", err);
}

const struct preset preset_softmax = {
	.entry = { .name = "softmax",
		   .summary = "softmax regression: one linear layer, any number of classes" },
	.build = build,
};
