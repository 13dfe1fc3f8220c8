/* Which ranks hold which parameters: adjoining pieces of the block, in the order of the ranks. */
#ifndef DSTRAIN_RUNTIME_SYNC_HOLDINGS_H
#define DSTRAIN_RUNTIME_SYNC_HOLDINGS_H

#include <stddef.h>

#include "lib/opt.h"

struct error;
struct sync_env;

/* Rank r holds those from bounds[r] to bounds[r + 1]. */
struct holdings {
	size_t *bounds; /* [ranks + 1], owned */
};

/*
 * Shares them out among the ranks named, or all of them (none named), in proportion to the rate at
 * which the links of each let it send, if all are known, or else alike. The same on every rank.
 */
int holdings_make(struct holdings *out, const struct opt_counts *ranks, const struct sync_env *env,
		  struct error *err);
static inline size_t holdings_count(const struct holdings *holdings, size_t rank)
{
	return holdings->bounds[rank + 1] - holdings->bounds[rank];
}
void holdings_release(struct holdings *holdings);

#endif
