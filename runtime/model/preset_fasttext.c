/*
 * The mean of word vectors, then one linear layer (Joulin et al., "Bag of tricks for efficient text
 * classification", EACL 2017).
 */
#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

struct fasttext_params {
	size_t width;
};

static const struct opt options[] = { { "width", OPT_COUNT, offsetof(struct fasttext_params, width),
					"10", "numbers that stand for one word", .min = 1,
					.max = 65536 },
				      { 0 } };

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	const struct fasttext_params *fasttext = params;
	struct embedding_bag_params bag = { .width = fasttext->width, .mode = BAG_MEAN };
	struct linear_params linear = { .outputs = env->classes, .bias = true };

	if (model_add(builder, "embedding", "embedding_bag", &bag, err) < 0 ||
	    model_add(builder, "fc", "linear", &linear, err) < 0)
		return -1;
	return model_set_loss(builder, "softmax_cross_entropy", err);
}

const struct preset preset_fasttext = {
	.entry = { .name = "fasttext",
		   .summary = "mean of word vectors, then one linear layer, for texts",
		   .options = options,
		   .params_size = sizeof(struct fasttext_params) },
	.build = build,
};
