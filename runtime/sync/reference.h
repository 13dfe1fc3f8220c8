/* What groups agreed on when they met last: compressed averages travel as differences to it. */
#ifndef DSTRAIN_RUNTIME_REFERENCE_H
#define DSTRAIN_RUNTIME_REFERENCE_H

#include <stddef.h>

#include "runtime/sync/sync.h"

/* Zeroed is valid: nothing is compressed. */
struct references {
	size_t groups, count;
	float *x;   /* [groups * count] */
	float *met; /* [groups] 1: this rank's group of that number has met, and x holds what it
		     * agreed on */
};

/* One for each group that this rank is a member of in turn; none if nothing is lost. */
struct references references_new(const struct sync_env *env, size_t groups);
/* x[count] becomes the mean of its group number `which`, or comes near to it: exchange_average.
 * Who meets for the first time sends everything. */
int reference_average(struct references *references, const struct sync_env *env,
		      const struct group *group, size_t which, size_t step, float *x,
		      struct error *err);
/* For sync_strategy.state: how many arrays. */
size_t references_state(const struct references *references, struct state_array *arrays);
void references_release(struct references *references);

#endif
