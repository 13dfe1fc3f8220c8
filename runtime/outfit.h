/* What a rank computes with, before it meets the others: samples, model, weights, optimizer. */
#ifndef DSTRAIN_RUNTIME_OUTFIT_H
#define DSTRAIN_RUNTIME_OUTFIT_H

#include <stdbool.h>
#include <stddef.h>

struct dataset;
struct error;
struct job;

/* All borrowed. */
struct outfit_env {
	const struct job *job;
	const struct dataset *train, *test;
	unsigned rank, world;
	size_t ranks_here; /* that share this host */
	bool resumes;	   /* weights will come from a checkpoint */
};

/* Zeroed is valid and empty. */
struct outfit {
	struct team *team;
	struct shard *shard;
	struct feed *feed;
	struct model *model;
	struct optim *optim;
	float *weight, *grad; /* [model_count] */
	size_t steps, steps_per_epoch;
};

/* `out` is releasable whatever happened. */
int outfit_build(struct outfit *out, const struct outfit_env *env, struct error *err);
void outfit_release(struct outfit *outfit);

#endif
