/* The synchronisation strategies: one line each. */
#include "runtime/sync/sync.h"

#define STRATEGIES(X)          \
	X(bsp)                 \
	X(local_sgd)           \
	X(diloco)              \
	X(fedavg)              \
	X(fedprox)             \
	X(scaffold)            \
	X(fedchain)            \
	X(ds_sync)             \
	X(robust)              \
	X(asp)                 \
	X(ssp)                 \
	X(bsp_ps)              \
	X(kardam)              \
	X(dpsgd)               \
	X(sgp)                 \
	X(choco)               \
	X(push_sum_compressed) \
	X(adpsgd)              \
	X(agp)                 \
	X(prague)              \
	X(dsgd_aau)            \
	X(auto)

#define DECLARE(name) extern const struct sync_strategy sync_##name;
#define ENTRY(name)   &sync_##name.entry,

STRATEGIES(DECLARE)

const struct registry sync_strategies = {
	.category = "sync",
	.noun = "sync strategy",
	.entries = (const struct entry *const[]){ STRATEGIES(ENTRY) NULL },
};
