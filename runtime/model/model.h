/*
 * A model: layers, each fed by one or two before it, and a loss, over one contiguous block of
 * parameters and one of gradients, with named views. The blocks belong to the caller; what lies
 * between the layers lies in one arena that is planned when the model is built.
 */
#ifndef DSTRAIN_RUNTIME_MODEL_H
#define DSTRAIN_RUNTIME_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "lib/registry.h"
#include "runtime/model/batch.h"

struct error;
struct layer_list;
struct model;
struct team;

/* A named view into the parameter block. Names and layouts are PyTorch's: "fc1.weight" is
 * [out][in], "fc1.bias" is [out]. */
struct tensor {
	char name[64];
	struct shape shape;
	size_t offset, count; /* in floats */
	/* 0: trained. Else a statistic such as batch norm's running mean: each step subtracts
	 * rate * gradient from it, whatever the optimizer is. */
	double rate;
};

/* How weights begin: as each layer says, or all by one rule. */
enum model_init_rule {
	MODEL_INIT_DEFAULT,
	MODEL_INIT_KAIMING,
	MODEL_INIT_XAVIER,
	MODEL_INIT_CRITICAL
};

struct model_env {
	struct shape input; /* of one sample; of sparse rows: the number of columns */
	bool sparse;	    /* batches have rows */
	size_t classes;	    /* 0: regression */
	size_t labels;	    /* targets of one sample; 0 stands for 1 */
	size_t vocabulary;  /* features are whole numbers below this; 0: they are quantities */
	size_t max_batch;   /* the most samples of one forward */
	bool forward_only;  /* no backward will follow: less memory */
	bool plan_only; /* no forward, either: asks for no memory, only how much there would be */
	enum model_init_rule init;
	uint64_t seed;
	struct team *team; /* borrowed; may be NULL: the caller's thread alone */
};

extern const struct registry models; /* presets */
extern const struct registry layers;
extern const struct registry losses;

int model_new(struct model **out, const struct part *preset, const struct model_env *env,
	      struct error *err);
/* The same from layers of the recipe's own. Borrows `list` as long as the model lives; a message
 * begins with the place of the layer at fault. */
int model_new_listed(struct model **out, const struct layer_list *list, const struct model_env *env,
		     struct error *err);
size_t model_count(const struct model *model); /* parameters, statistics too */
const struct tensor *model_tensors(const struct model *model, size_t *count);
void model_init(const struct model *model, float *weight); /* from the seed alone */
/* The name in the registry of losses; lives as long as the program. */
const char *model_loss_name(const struct model *model);
size_t model_arena_bytes(const struct model *model); /* all that lies between layers */
double model_flops(const struct model *model);	     /* of both passes of one sample, about */

/* One layer, for tables. */
struct model_row {
	const char *name;  /* "conv1" */
	const char *layer; /* "conv2d" */
	bool relu;	   /* and a relu, in one step */
	struct shape output;
	size_t parameters;
	double flops; /* of the forward pass of one sample */
	size_t bytes; /* of one sample's activations and what backward needs beside them */
};
/* False after the last. */
bool model_row(const struct model *model, size_t i, struct model_row *row);

/* Fills *score. Activations stay inside the model until the next forward. */
void model_forward(struct model *model, const float *weight, const struct batch *batch,
		   struct score *score);
/* The loss's input of the last forward, [batch][outputs]; *outputs is its width. Until the next
 * forward or backward. */
const float *model_outputs(const struct model *model, size_t *outputs);

/* Called as soon as grad[offset .. offset+count) is final: falling, adjoining, down to offset 0. */
typedef void model_ready(void *arg, size_t offset, size_t count);

/* After model_forward of the same batch, which was for training. Overwrites grad with
 * d(loss_sum)/d(weight) / (batch->total * labels). */
void model_backward(struct model *model, const float *weight, const struct batch *batch,
		    float *grad, model_ready *ready, void *arg);

/* Where the first number that is not finite appears: the name of a tensor of `weight`, or of the
 * layer whose output for `batch` has it; NULL: nowhere. Lives as long as the model. */
const char *model_nonfinite(struct model *model, const float *weight, const struct batch *batch);
void model_free(struct model *model); /* may be NULL */

#endif
