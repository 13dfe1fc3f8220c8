/* From a plan to a strategy, and from a strategy to the plans that it can follow. */
#ifndef DSTRAIN_RUNTIME_SYNC_AUTO_H
#define DSTRAIN_RUNTIME_SYNC_AUTO_H

#include <stdbool.h>

struct part;
struct plan;
struct plan_list;
struct settings;
struct sync_params;

/* What a recipe asks for. Borrowed. */
struct sync_wish {
	const struct part *strategy;
	const struct sync_params *params;
	bool compressed; /* not float32 is to travel */
};

/* The first plan of the list that such a recipe can follow, and that tells what travels as it is to
 * be, where the list has any; NULL: none. A strategy that the plan chooses leaves that to it, too.
 */
const struct plan *sync_choose(const struct plan_list *list, const struct sync_wish *wish);

/* Puts into a recipe the strategy that follows `plan` in place of one that the plan chooses; NULL:
 * there is none. Options that mean nothing to it are dropped, and the compressor unless it `keeps`
 * that. */
void sync_settle(struct settings *recipe, const struct plan *plan, bool keeps);

#endif
