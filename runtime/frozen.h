/* A model whose weights come from a file and stay as they are: for forward passes alone. */
#ifndef DSTRAIN_RUNTIME_FROZEN_H
#define DSTRAIN_RUNTIME_FROZEN_H

#include <stddef.h>

#include "runtime/data/data.h"

struct error;
struct job;
struct model;
struct team;

/* Zeroed is valid and empty. */
struct frozen {
	struct dataset train; /* tells shapes, classes and words; some formats also scale by it */
	struct team *team;
	struct model *model;
	float *weight;
};

/* Reads the job's training data. Releasable whatever happened, like what follows. */
int frozen_load(struct frozen *frozen, const struct job *job, struct error *err);
/* Builds the job's model for batches of up to `max_batch`, with the weights of the safetensors file
 * at `path`. */
int frozen_build(struct frozen *frozen, const struct job *job, size_t max_batch, const char *path,
		 struct error *err);
void frozen_release(struct frozen *frozen);

#endif
