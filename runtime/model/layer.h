/*
 * The interfaces of a layer, a loss and a preset. Activations are [batch][sample], row-major, a
 * sample being [channels][height][width], [positions][channels] or [features].
 */
#ifndef DSTRAIN_RUNTIME_LAYER_H
#define DSTRAIN_RUNTIME_LAYER_H

#include <stddef.h>

#include "lib/registry.h"
#include "runtime/model/batch.h"
#include "runtime/model/model.h"
#include "runtime/rng.h"

struct error;
struct team;

enum { LAYER_TENSORS = 6 };

enum init { INIT_CONSTANT, INIT_UNIFORM, INIT_NORMAL };

struct layer_tensor {
	const char *suffix; /* "weight" */
	struct shape shape; /* rank 0: a scalar */
	enum init init;	    /* value; uniform in [-value, value]; normal with deviation value */
	double value;
	size_t fan_in, fan_out; /* of weights that model_env.init may begin otherwise; else 0 */
	bool bias;		/* that model_env.init may begin at 0 */
	double rate;		/* see struct tensor */
};

/* What a layer needs, from its parameters and input shape. */
struct layer_plan {
	struct shape output;
	struct layer_tensor tensor[LAYER_TENSORS];
	size_t tensors;
	const char *tied;	/* tensor[0] is this one of an earlier layer; NULL: its own */
	size_t scratch_bytes;	/* kept from forward to backward, per sample */
	size_t kept_bytes;	/* the same, per call */
	size_t room_bytes;	/* of one call: what is in it does not outlive that */
	size_t workspace_bytes; /* of each member of the team, in one call */
	double flops;		/* of forward, per sample: a multiplication and an addition are 2 */
};

/* One call: pointers are borrowed; weight[i]/grad[i] are the layer's tensors. */
struct layer_call {
	const void *params;
	const struct layer_plan *plan;
	const struct shape *input, *output;
	size_t batch, total;	       /* samples here, and in the batch of all ranks */
	size_t inputs, outputs;	       /* per sample */
	const struct sparse_row *rows; /* [batch] instead of `in`; NULL: `in` */
	const float *in2;	       /* of a layer that joins: its second input, like the first */
	float *din2;		       /* may be NULL: nobody wants it */
	const float *const *weight;
	float *const *grad;
	void *scratch;	   /* [batch][plan.scratch_bytes], 64-byte aligned */
	void *kept;	   /* [plan.kept_bytes], 64-byte aligned */
	void *room;	   /* [plan.room_bytes], the same */
	struct team *team; /* whose members have plan.workspace_bytes */
	bool training;
	bool relu;	 /* forward ends, backward begins with a relu; `out` is after it */
	bool accumulate; /* backward adds to grad instead of overwriting it */
	struct rng rng;	 /* differs by layer and step */
	size_t first;	 /* position of sample 0 in the batch of all ranks */
};

struct layer {
	struct entry entry;

	/* What backward reads beside dout. in and out are NULL there if it reads them not. */
	bool reads_in, reads_out;
	bool in_place;	   /* out may be in, and din may be dout */
	bool joins;	   /* has two inputs of one shape */
	bool takes_sparse; /* rows instead of in; it is the first layer then, and has no din */
	bool takes_words;  /* `in` are numbers of words; it is the first layer, and has no din */
	bool takes_relu;   /* obeys call->relu; then backward reads out, too */
	bool is_relu;	   /* is what such a layer does itself */
	bool accumulates;  /* obeys call->accumulate: others may be tied to tensor 0 */
	double critical;   /* of an activation: C_W (see init.c); 0: is none */

	/* *plan comes zeroed, but for an output like the input. Optional: that is all. */
	int (*plan)(const void *params, const struct shape *input, const struct model_env *env,
		    struct layer_plan *plan, struct error *err);
	void (*forward)(const struct layer_call *call, const float *in, float *out);
	/* Overwrites call->grad and din. din is NULL if nobody wants it: never without tensors. in
	 * and out are forward's. dout may be overwritten. */
	void (*backward)(const struct layer_call *call, const float *in, const float *out,
			 float *dout, float *din);
};

struct loss_call {
	const float *logits;  /* [rows][outputs] */
	const float *targets; /* [rows] */
	size_t rows, outputs;
	float scale;	/* of dlogits */
	float *dlogits; /* the gradient of loss_sum * scale; NULL: not wanted; may be logits */
	struct team *team;
};

struct loss {
	struct entry entry;
	/* May this loss serve data with `classes` classes and a model with `outputs` outputs for
	 * each target? */
	int (*check)(size_t classes, size_t outputs, struct error *err);
	/* Adds to score's loss_sum and correct. */
	void (*evaluate)(const struct loss_call *call, struct score *score);
};

/*
 * A preset adds layers, each fed by the one before, and names a loss. The block of a residual
 * network: mark where it begins, add its layers, mark where they end, go back to the begin (and
 * add layers of the shortcut), then join with the end.
 */
struct model_builder;

int model_add(struct model_builder *builder, const char *name, const char *layer,
	      const void *params, struct error *err); /* params are copied */
int model_mark(struct model_builder *builder);	      /* where we are */
void model_go(struct model_builder *builder, int mark);
/* A layer fed by `mark` and, secondly, by where we are. */
int model_join(struct model_builder *builder, int mark, const char *name, const char *layer,
	       const void *params, struct error *err);
const struct shape *model_shape(const struct model_builder *builder); /* of where we are */
int model_set_loss(struct model_builder *builder, const char *loss, struct error *err);
/* The loss that such data wants from so many outputs. */
int model_set_usual_loss(struct model_builder *builder, struct error *err);

struct preset {
	struct entry entry;
	int (*build)(const void *params, const struct model_env *env, struct model_builder *builder,
		     struct error *err);
};

#endif
