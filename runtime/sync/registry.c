/* The synchronisation strategies: one line each. */
#include "runtime/sync/sync.h"

#define STRATEGIES(X) \
	X(bsp)        \
	X(local_sgd)

#define DECLARE(name) extern const struct sync_strategy sync_##name;
#define ENTRY(name)   &sync_##name.entry,

STRATEGIES(DECLARE)

static const struct entry *const entries[] = { STRATEGIES(ENTRY) NULL };

const struct registry sync_strategies = {
	.category = "sync",
	.noun = "sync strategy",
	.entries = entries,
};
