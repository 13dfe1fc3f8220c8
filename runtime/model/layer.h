/* The interfaces of a layer, a loss and a preset. Activations are [batch][features], row-major. */
#ifndef DSTRAIN_RUNTIME_LAYER_H
#define DSTRAIN_RUNTIME_LAYER_H

#include <stddef.h>

#include "lib/registry.h"
#include "runtime/model/batch.h"
#include "runtime/model/model.h"
#include "runtime/rng.h"

struct error;

enum { LAYER_TENSORS = 4 };

/* What a layer needs, from its parameters and input shape. */
struct layer_plan {
	struct shape output;
	struct {
		const char *suffix; /* "weight" */
		struct shape shape;
		double init_bound; /* uniform in [-bound, bound]; 0: zeros */
	} tensor[LAYER_TENSORS];
	size_t tensors;
	size_t scratch_bytes; /* kept from forward to backward, per sample */
};

/* One call: pointers are borrowed; weight[i]/grad[i] are the layer's tensors. */
struct layer_call {
	const void *params;
	size_t batch;
	size_t inputs, outputs; /* per sample */
	const float *const *weight;
	float *const *grad;
	void *scratch;
	bool training;
	struct rng rng; /* differs by layer and step */
	size_t first;	/* position of sample 0 in the batch of all ranks */
};

struct layer {
	struct entry entry;
	/* *plan comes zeroed, but for an output like the input. Optional: that is all. */
	int (*plan)(const void *params, const struct shape *input, struct layer_plan *plan,
		    struct error *err);
	/* in and out do not overlap */
	void (*forward)(const struct layer_call *call, const float *in, float *out);
	/* Overwrites call->grad and din. din is NULL if nobody wants it: never without tensors. in
	 * and out are forward's. */
	void (*backward)(const struct layer_call *call, const float *in, const float *out,
			 const float *dout, float *din);
};

/* score gets loss_sum and correct; dlogits (may be NULL) gets the gradient of loss_sum * scale. */
struct loss {
	struct entry entry;
	/* May this loss serve data with `classes` classes and a model with `outputs` outputs? */
	int (*check)(size_t classes, size_t outputs, struct error *err);
	void (*evaluate)(const float *logits, const float *targets, size_t batch, size_t outputs,
			 float scale, struct score *score, float *dlogits);
};

/* A preset appends layers and names a loss. */
struct model_builder;

int model_add(struct model_builder *builder, const char *name, const char *layer,
	      const void *params, struct error *err); /* params are copied */
int model_set_loss(struct model_builder *builder, const char *loss, struct error *err);

struct preset {
	struct entry entry;
	int (*build)(const void *params, const struct model_env *env, struct model_builder *builder,
		     struct error *err);
};

#endif
