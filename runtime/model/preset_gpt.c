/*
 * A transformer that says what comes next: GPT-2's shape (Radford et al., "Language models are
 * unsupervised multitask learners", 2019) with nanoGPT's names and first weights. The last layer
 * shares its weight with the embedding of words.
 */
#include <math.h>
#include <stdio.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "runtime/model/layer.h"
#include "runtime/model/layer_params.h"

struct gpt_params {
	size_t layers, width, heads;
	double dropout;
	int gelu; /* of gelus[]; as gelu_params.approximate */
};

static const char *const gelus[] = { "erf", "tanh", NULL };

static const struct opt options[] = {
	{ "layers", OPT_COUNT, offsetof(struct gpt_params, layers), "4",
	  "blocks of attention and two linear layers", .min = 1, .max = 1000 },
	{ "width", OPT_COUNT, offsetof(struct gpt_params, width), "128",
	  "channels of each position; a multiple of heads", .min = 1, .max = 65536 },
	{ "heads", OPT_COUNT, offsetof(struct gpt_params, heads), "4",
	  "heads of each block's attention", .min = 1, .max = 4096 },
	{ "dropout", OPT_REAL, offsetof(struct gpt_params, dropout), "0",
	  "share of the channels to drop in training, of words and what blocks add", .min = 0,
	  .max = 0.95 },
	{ "gelu", OPT_CHOICE, offsetof(struct gpt_params, gelu), "erf",
	  "exact, or GPT-2's approximation", .choices = gelus },
	{ 0 }
};

static const double deviation = 0.02;

/* One block as it is added. */
struct block {
	struct model_builder *builder;
	const struct gpt_params *gpt;
	size_t number;
};

/* Adds layer "h.N.NAME". */
static int add(const struct block *block, const char *name, const char *kind, const void *params,
	       struct error *err)
{
	char full[64];

	snprintf(full, sizeof(full), "h.%zu.%s", block->number, name);
	return model_add(block->builder, full, kind, params, err);
}

/* Ends what began at `mark`: its sum with what it adds. */
static int join(const struct block *block, int mark, const char *dropout_name, const char *name,
		struct error *err)
{
	struct dropout_params dropout = { .rate = block->gpt->dropout };
	char full[64];

	if (dropout.rate > 0 && add(block, dropout_name, "dropout", &dropout, err) < 0)
		return -1;
	snprintf(full, sizeof(full), "h.%zu.%s", block->number, name);
	return model_join(block->builder, mark, full, "add", NULL, err);
}

/* The last weights of what blocks add begin smaller, as all layers add up. */
static double last_deviation(const struct gpt_params *gpt)
{
	return deviation / sqrt(2.0 * (double)gpt->layers);
}

static int add_attention(const struct block *block, struct error *err)
{
	struct attention_params attention = { .heads = block->gpt->heads,
					      .causal = true,
					      .bias = true,
					      .deviation = deviation,
					      .last_deviation = last_deviation(block->gpt) };
	int mark = model_mark(block->builder);

	if (add(block, "ln_1", "layer_norm", NULL, err) < 0 ||
	    add(block, "attn", "attention", &attention, err) < 0)
		return -1;
	return join(block, mark, "attn.dropout", "attn.add", err);
}

static int add_feed_forward(const struct block *block, struct error *err)
{
	struct linear_params wide = { .outputs = 4 * block->gpt->width,
				      .bias = true,
				      .deviation = deviation };
	struct linear_params narrow = { .outputs = block->gpt->width,
					.bias = true,
					.deviation = last_deviation(block->gpt) };
	struct gelu_params gelu = { .approximate = block->gpt->gelu };
	int mark = model_mark(block->builder);

	if (add(block, "ln_2", "layer_norm", NULL, err) < 0 ||
	    add(block, "mlp.c_fc", "linear", &wide, err) < 0 ||
	    add(block, "mlp.gelu", "gelu", &gelu, err) < 0 ||
	    add(block, "mlp.c_proj", "linear", &narrow, err) < 0)
		return -1;
	return join(block, mark, "mlp.dropout", "mlp.add", err);
}

static int build(const void *params, const struct model_env *env, struct model_builder *builder,
		 struct error *err)
{
	const struct gpt_params *gpt = params;
	struct embedding_params words = { .width = gpt->width, .deviation = deviation };
	struct position_params positions = { .deviation = deviation };
	struct dropout_params dropout = { .rate = gpt->dropout };
	struct linear_params head = { .outputs = env->vocabulary, .tie = "wte.weight" };
	struct block block = { .builder = builder, .gpt = gpt };

	if (model_add(builder, "wte", "embedding", &words, err) < 0 ||
	    model_add(builder, "wpe", "positional_embedding", &positions, err) < 0 ||
	    (gpt->dropout > 0 && model_add(builder, "drop", "dropout", &dropout, err) < 0))
		return -1;
	for (block.number = 0; block.number < gpt->layers; block.number++)
		if (add_attention(&block, err) < 0 || add_feed_forward(&block, err) < 0)
			return -1;
	if (model_add(builder, "ln_f", "layer_norm", NULL, err) < 0 ||
	    model_add(builder, "lm_head", "linear", &head, err) < 0)
		return -1;
	return model_set_loss(builder, "softmax_cross_entropy", err);
}

const struct preset preset_gpt = {
	.entry = { .name = "gpt",
		   .summary = "transformer that says what comes next in a text",
		   .options = options,
		   .params_size = sizeof(struct gpt_params) },
	.build = build,
};
