/* Faults and slowness on purpose, for experiments: ranks that straggle, hosts that are paced, and
 * gradients that are wrong. The same in every run of a seed. */
#ifndef DSTRAIN_RUNTIME_FAULT_H
#define DSTRAIN_RUNTIME_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/opt.h"

struct buf;
struct error;

enum fault_kind {
	FAULT_NONE,
	FAULT_SIGN_FLIP, /* the gradient times -size */
	FAULT_NOISE,	 /* normal noise of deviation `size` is added */
	FAULT_SCALE,	 /* the gradient times size */
	FAULT_CONSTANT,	 /* every number is size */
	FAULT_NAN
};

struct fault_params {
	struct opt_counts ranks; /* whose gradients are wrong */
	int kind;		 /* enum fault_kind */
	double size;
	double compute_s; /* that a step's computation stands for; 0: it is what it is */
	double probability, factor;
	struct opt_counts stragglers; /* ranks that straggle at random; none: all of them */
	struct opt_counts permanent;  /* ranks whose every step straggles */
};

extern const struct opt fault_options[]; /* below "fault" */

/* One rank's. */
struct fault {
	const struct fault_params *params; /* borrowed */
	uint64_t seed;
	unsigned rank;
	double share; /* the rank's part of the batch: its gradient is so much of its own mean */
	double load;  /* its part relative to an equal one: what compute_s stands for */
	bool wrong;   /* its gradients are */
};

/* Whether all ranks that are named are among so many. */
int fault_check(const struct fault_params *params, size_t world, struct error *err);
/* Adds what will be done, in a few words; nothing where nothing will. */
void fault_describe(const struct fault_params *params, struct buf *out);

struct fault fault_of_rank(const struct fault_params *params, uint64_t seed, unsigned rank,
			   double share);
/* How long a step lasts whose computation took so long, in seconds. */
double fault_lasts(const struct fault *fault, size_t step, double computed_s);
/* What has become of grad[count], which starts at `offset` of the block. */
void fault_gradient(const struct fault *fault, size_t step, size_t offset, float *grad,
		    size_t count);

#endif
