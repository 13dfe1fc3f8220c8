/* Every layer, loss and preset there is. A new one is a file of its own and one word here. */
#include "lib/registry.h"
#include "runtime/model/layer.h"

/* clang-format off */
#define LAYERS(X) \
	X(linear) X(conv2d) X(embedding_bag) \
	X(embedding) X(positional_embedding) X(attention) \
	X(relu) X(tanh) X(sigmoid) X(gelu) \
	X(max_pool2d) X(avg_pool2d) X(global_avg_pool) X(flatten) \
	X(batch_norm) X(group_norm) X(layer_norm) \
	X(dropout) \
	X(add)
#define LOSSES(X) X(softmax_cross_entropy) X(logistic) X(hinge) X(mean_squared_error)
#define PRESETS(X) \
	X(softmax) X(logistic) X(svm) X(mlp) \
	X(lenet5) X(resnet20) X(vgg11_small) \
	X(fasttext) X(gpt)
/* clang-format on */

#define LAYER_DECLARATION(name) extern const struct layer layer_##name;
#define LAYER_ENTRY(name)	&layer_##name.entry,
LAYERS(LAYER_DECLARATION)

#define LOSS_DECLARATION(name) extern const struct loss loss_##name;
#define LOSS_ENTRY(name)       &loss_##name.entry,
LOSSES(LOSS_DECLARATION)

#define PRESET_DECLARATION(name) extern const struct preset preset_##name;
#define PRESET_ENTRY(name)	 &preset_##name.entry,
PRESETS(PRESET_DECLARATION)

const struct registry layers = {
	.category = "layer",
	.noun = "layer",
	.entries = (const struct entry *const[]){ LAYERS(LAYER_ENTRY) NULL },
};

const struct registry losses = {
	.category = "loss",
	.noun = "loss",
	.entries = (const struct entry *const[]){ LOSSES(LOSS_ENTRY) NULL },
};

const struct registry models = {
	.category = "model",
	.noun = "model",
	.entries = (const struct entry *const[]){ PRESETS(PRESET_ENTRY) NULL },
};
