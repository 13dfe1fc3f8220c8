/* How well a model fits the test data. */
#ifndef DSTRAIN_RUNTIME_EVALUATE_H
#define DSTRAIN_RUNTIME_EVALUATE_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/model/batch.h"

struct error;
struct feed;
struct job;
struct model;

/* When ranks whose weights differ also evaluate their own, each on all test data. */
enum eval_ranks { EVAL_RANKS_END, EVAL_RANKS_NO, EVAL_RANKS_ALWAYS };

extern const char *const eval_ranks_names[];

/* The score of `count` test samples from `first` on. */
struct score evaluate(struct model *model, const float *weight, struct feed *feed, size_t first,
		      size_t count);

struct evaluation {
	size_t samples, parameters;
	struct score score;
	bool accuracy; /* right answers can be counted */
};

/* Of all test samples, by this process: reads the job's data, builds its model, and takes the
 * weights from the safetensors file at `path`. */
int evaluate_file(struct evaluation *out, const struct job *job, const char *path,
		  struct error *err);

#endif
