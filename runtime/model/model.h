/*
 * A model: a chain of layers and a loss over one contiguous block of parameters and one of
 * gradients, with named views. The blocks belong to the caller.
 */
#ifndef DSTRAIN_RUNTIME_MODEL_H
#define DSTRAIN_RUNTIME_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "lib/registry.h"
#include "runtime/model/batch.h"

struct error;
struct model;

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

struct model_env {
	struct shape input;
	size_t classes;	  /* 0: regression */
	size_t max_batch; /* the most samples of one forward */
	uint64_t seed;
};

extern const struct registry models; /* presets */
extern const struct registry layers;
extern const struct registry losses;

int model_new(struct model **out, const struct part *preset, const struct model_env *env,
	      struct error *err);
size_t model_count(const struct model *model); /* parameters */
const struct tensor *model_tensors(const struct model *model, size_t *count);
void model_init(const struct model *model, float *weight); /* from the seed alone */
/* The name in the registry of losses; lives as long as the program. */
const char *model_loss_name(const struct model *model);

/* Fills *score. Activations stay inside the model until the next forward. */
void model_forward(struct model *model, const float *weight, const struct batch *batch,
		   struct score *score);
/* The loss layer's input of the last forward, [batch][outputs]; *outputs is its width. */
const float *model_outputs(const struct model *model, size_t *outputs);

/* Called as soon as grad[offset .. offset+count) is final: falling, adjoining, down to offset 0. */
typedef void model_ready(void *arg, size_t offset, size_t count);

/* After model_forward of the same batch. Overwrites grad with d(loss_sum)/d(weight) / batch->total.
 */
void model_backward(struct model *model, const float *weight, const struct batch *batch,
		    float *grad, model_ready *ready, void *arg);
void model_free(struct model *model); /* may be NULL */

#endif
