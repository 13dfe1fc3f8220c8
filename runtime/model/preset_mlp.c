/* A multilayer perceptron: linear layers with a nonlinear one between any two. */
#include <stdio.h>

#include "lib/opt.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

struct mlp_params {
	struct opt_counts hidden;
	int activation; /* of activations[] */
	double dropout;
};

static const char *const activations[] = { "relu", "tanh", "sigmoid", NULL };

static const struct opt options[] = {
	{ "hidden", OPT_COUNTS, offsetof(struct mlp_params, hidden), "256,128",
	  "widths of the hidden layers", .min = 1, .max = 65536 },
	{ "activation", OPT_CHOICE, offsetof(struct mlp_params, activation), "relu",
	  "what follows each hidden layer", .choices = activations },
	{ "dropout", OPT_REAL, offsetof(struct mlp_params, dropout), "0",
	  "share of hidden features to drop in training", .min = 0, .max = 0.95 },
	{ 0 }
};

/* Adds layer `kind` as "fc1", "relu1", "dropout1", ... */
static int add(struct model_builder *builder, const char *prefix, size_t number, const char *kind,
	       const void *params, struct error *err)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%zu", prefix, number);
	return model_add(builder, name, kind, params, err);
}

static int add_hidden(const struct mlp_params *mlp, size_t i, struct model_builder *builder,
		      struct error *err)
{
	const char *activation = activations[mlp->activation];
	struct linear_params linear = { .outputs = mlp->hidden.values[i], .bias = true };
	struct dropout_params dropout = { .rate = mlp->dropout };

	if (add(builder, "fc", i + 1, "linear", &linear, err) < 0 ||
	    add(builder, activation, i + 1, activation, NULL, err) < 0)
		return -1;
	return mlp->dropout > 0 ? add(builder, "dropout", i + 1, "dropout", &dropout, err) : 0;
}

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	const struct mlp_params *mlp = params;
	struct linear_params last = { .outputs = env->classes ? env->classes : 1, .bias = true };

	for (size_t i = 0; i < mlp->hidden.count; i++)
		if (add_hidden(mlp, i, builder, err) < 0)
			return -1;
	if (add(builder, "fc", mlp->hidden.count + 1, "linear", &last, err) < 0)
		return -1;
	return model_set_usual_loss(builder, err);
}

const struct preset preset_mlp = {
	.entry = { .name = "mlp",
		   .summary = "multilayer perceptron: classes, or one value to regress",
		   .options = options,
		   .params_size = sizeof(struct mlp_params) },
	.build = build,
};
