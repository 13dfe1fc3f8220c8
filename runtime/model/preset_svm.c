/* A linear support vector machine: one output for two classes, one per class for more. */
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	struct linear_params linear = { .outputs = env->classes == 2 ? 1 : env->classes,
					.bias = true };

	(void)params;
	if (model_add(builder, "fc1", "linear", &linear, err) < 0)
		return -1;
	return model_set_loss(builder, "hinge", err);
}

const struct preset preset_svm = {
	.entry = { .name = "svm",
		   .summary = "support vector machine: one linear layer, any number of classes" },
	.build = build,
};
