/*
 * VGG-11 (Simonyan and Zisserman, ICLR 2015, configuration A) with batch norm, for small images:
 * fewer maps, and one linear layer behind them. A convolution is "features.N", its batch norm
 * N + 1, relu and pooling count as one more each.
 */
#include <stdio.h>

#include "lib/memory.h"
#include "lib/opt.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

struct vgg_params {
	size_t width;
};

static const struct opt options[] = {
	{ "width", OPT_COUNT, offsetof(struct vgg_params, width), "32",
	  "channels of the first convolution; the next have 2, 4 and 8 times as many", .min = 1,
	  .max = 1024 },
	{ 0 }
};

static int add(struct model_builder *builder, size_t *number, const char *kind, const void *params,
	       struct error *err)
{
	char name[32];

	snprintf(name, sizeof(name), "features.%zu", (*number)++);
	return model_add(builder, name, kind, params, err);
}

static int add_conv(struct model_builder *builder, size_t *number, size_t channels,
		    struct error *err)
{
	struct conv2d_params conv = { channels, .kernel = 3, .stride = 1, .padding = 1 };
	struct batch_norm_params norm = { .eps = 1e-5, .momentum = 0.1 };

	conv.groups = 1;
	conv.bias = true;
	if (add(builder, number, "conv2d", &conv, err) < 0 ||
	    add(builder, number, "batch_norm", &norm, err) < 0)
		return -1;
	return add(builder, number, "relu", NULL, err);
}

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	enum { POOL = 0 };
	static const size_t steps[] = { 1, POOL, 2, POOL, 4, 4, POOL, 8, 8, POOL, 8, 8, POOL };
	const struct vgg_params *vgg = params;
	struct pool2d_params pool = { .kernel = 2 };
	struct linear_params last = { .bias = true };
	size_t number = 0;

	(void)env;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int failed = steps[i] == POOL
				     ? add(builder, &number, "max_pool2d", &pool, err)
				     : add_conv(builder, &number, steps[i] * vgg->width, err);

		if (failed)
			return -1;
	}
	if (model_add(builder, "flatten", "flatten", NULL, err) < 0 ||
	    model_add(builder, "classifier", "linear", &last, err) < 0)
		return -1;
	return model_set_usual_loss(builder, err);
}

const struct preset preset_vgg11_small = {
	.entry = { .name = "vgg11-small",
		   .summary = "eight convolutions with batch norm, for small images",
		   .options = options,
		   .params_size = sizeof(struct vgg_params) },
	.build = build,
};
