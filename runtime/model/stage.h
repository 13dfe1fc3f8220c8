/* What a model is made of; only for the files that build and run one. */
#ifndef DSTRAIN_RUNTIME_STAGE_H
#define DSTRAIN_RUNTIME_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/model/layer.h"

enum { STAGE_INPUTS = 2, FROM_BATCH = -1 };

/* One layer in its place. */
struct stage {
	const struct layer *layer;
	char *name;
	void *params;		/* owned */
	int from[STAGE_INPUTS]; /* stages, or FROM_BATCH */
	size_t fed_by;		/* how many of these */
	struct shape input;
	struct layer_plan plan;
	size_t inputs, outputs;	      /* per sample */
	size_t tensor[LAYER_TENSORS]; /* in the model's list; of plan.tensors */
	size_t offset, count;	      /* the floats of its own within the blocks */
	size_t readers;		      /* stages that it feeds */
	bool relu;		      /* does the relu after it, too */
	bool marked;		      /* somebody may read it as it is now */
	bool shared;		      /* a later stage is tied to it */
	double critical;	      /* of the activation behind it; 0: none */

	/* In the arena. */
	float *out;		     /* [max_batch][outputs] */
	float *slope;		     /* the loss's derivative by `out` */
	void *scratch, *kept;	     /* plan.scratch_bytes a sample, plan.kept_bytes */
	void *room[2];		     /* plan.room_bytes, forward and backward */
	bool in_place;		     /* out is that of from[0] */
	bool slope_in_place;	     /* ... and slope, too */
	float *addend[STAGE_INPUTS]; /* where din goes if the input's slope has another part
					already; NULL: straight there */
};

struct model {
	struct stage *stages;
	size_t stage_count;
	struct tensor *tensors;
	size_t tensor_count;
	size_t count;
	const struct loss *loss;
	struct model_env env;
	struct team *alone;   /* owned: env.team, if none was given */
	unsigned char *arena; /* owned */
	size_t arena_bytes;
};

static inline size_t model_labels(const struct model *model)
{
	return model->env.labels ? model->env.labels : 1;
}

/* Does the backward pass of a stage read its input, its output? */
static inline bool stage_reads_in(const struct stage *stage)
{
	return stage->layer->reads_in;
}

static inline bool stage_reads_out(const struct stage *stage)
{
	return stage->layer->reads_out || stage->relu;
}

/* Lays out the arena and points the stages into it. */
void model_place(struct model *model);

#endif
