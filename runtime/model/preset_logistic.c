/* Logistic regression: one linear layer, the probability of class 1. */
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	struct linear_params linear = { .outputs = 1, .bias = true };

	(void)params;
	(void)env;
	if (model_add(builder, "fc1", "linear", &linear, err) < 0)
		return -1;
	return model_set_loss(builder, "logistic", err);
}

const struct preset preset_logistic = {
	.entry = { .name = "logistic",
		   .summary = "logistic regression: one linear layer, 2 classes" },
	.build = build,
};
