/*
 * ResNet-20 for small images (He et al., "Deep residual learning", CVPR 2016, section 4.2, n = 3):
 * three stages of three blocks, with a projection (option B) where the shape changes.
 */
#include <stdio.h>

#include "lib/opt.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

enum { STAGES = 3, BLOCKS = 3 };

struct resnet_params {
	size_t width;
};

static const struct opt options[] = {
	{ "width", OPT_COUNT, offsetof(struct resnet_params, width), "16",
	  "channels of the first stage; the next have 2 and 4 times as many", .min = 1,
	  .max = 4096 },
	{ 0 }
};

/* A convolution without bias and what normalises it: "PREFIXconv1", "PREFIXbn1". */
static int add_conv(struct model_builder *builder, const char *conv, const char *norm,
		    struct conv2d_params params, struct error *err)
{
	struct batch_norm_params batch_norm = { .eps = 1e-5, .momentum = 0.1 };

	params.groups = 1;
	params.padding = params.kernel / 2;
	if (model_add(builder, conv, "conv2d", &params, err) < 0)
		return -1;
	return model_add(builder, norm, "batch_norm", &batch_norm, err);
}

static int add_main(struct model_builder *builder, const char *name, size_t width, size_t stride,
		    struct error *err)
{
	char conv[2][48], norm[2][48], relu[48];

	for (int i = 0; i < 2; i++) {
		snprintf(conv[i], sizeof(conv[i]), "%s.conv%d", name, i + 1);
		snprintf(norm[i], sizeof(norm[i]), "%s.bn%d", name, i + 1);
	}
	snprintf(relu, sizeof(relu), "%s.relu1", name);
	if (add_conv(builder, conv[0], norm[0],
		     (struct conv2d_params){ width, .kernel = 3, .stride = stride }, err) < 0 ||
	    model_add(builder, relu, "relu", NULL, err) < 0)
		return -1;
	return add_conv(builder, conv[1], norm[1],
			(struct conv2d_params){ width, .kernel = 3, .stride = 1 }, err);
}

/* relu(main(x) + shortcut(x)) */
static int add_block(struct model_builder *builder, const char *name, size_t width, size_t stride,
		     struct error *err)
{
	bool projects = stride > 1 || model_shape(builder)->dim[0] != width;
	int begin = model_mark(builder), end;
	char conv[48], norm[48], add[48], relu[48];

	snprintf(conv, sizeof(conv), "%s.shortcut.0", name);
	snprintf(norm, sizeof(norm), "%s.shortcut.1", name);
	snprintf(add, sizeof(add), "%s.add", name);
	snprintf(relu, sizeof(relu), "%s.relu2", name);
	if (add_main(builder, name, width, stride, err) < 0)
		return -1;
	end = model_mark(builder);
	model_go(builder, begin);
	if (projects &&
	    add_conv(builder, conv, norm,
		     (struct conv2d_params){ width, .kernel = 1, .stride = stride }, err) < 0)
		return -1;
	if (model_join(builder, end, add, "add", NULL, err) < 0)
		return -1;
	return model_add(builder, relu, "relu", NULL, err);
}

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	const struct resnet_params *resnet = params;
	struct conv2d_params first = { resnet->width, .kernel = 3, .stride = 1 };
	struct linear_params last = { .bias = true };
	char name[32];

	(void)env;
	if (add_conv(builder, "conv1", "bn1", first, err) < 0 ||
	    model_add(builder, "relu1", "relu", NULL, err) < 0)
		return -1;
	for (size_t i = 0; i < STAGES * BLOCKS; i++) {
		size_t stage = i / BLOCKS, block = i % BLOCKS;

		snprintf(name, sizeof(name), "layer%zu.%zu", stage + 1, block);
		if (add_block(builder, name, resnet->width << stage,
			      stage > 0 && block == 0 ? 2 : 1, err) < 0)
			return -1;
	}
	if (model_add(builder, "pool", "global_avg_pool", NULL, err) < 0 ||
	    model_add(builder, "fc", "linear", &last, err) < 0)
		return -1;
	return model_set_usual_loss(builder, err);
}

const struct preset preset_resnet20 = {
	.entry = { .name = "resnet20",
		   .summary = "nine residual blocks, for small images",
		   .options = options,
		   .params_size = sizeof(struct resnet_params) },
	.build = build,
};
