/* Every optimizer and schedule there is. A new one is a file of its own and one word here. */
#include "lib/registry.h"
#include "runtime/optim/optim.h"

#define OPTIMIZERS(X) X(sgd) X(adam) X(adamw) X(lamb) X(adagrad)
#define SCHEDULES(X)  X(constant) X(step) X(cosine)

#define OPTIMIZER_DECLARATION(name) extern const struct optimizer optimizer_##name;
#define OPTIMIZER_ENTRY(name)	    &optimizer_##name.entry,
OPTIMIZERS(OPTIMIZER_DECLARATION)

#define SCHEDULE_DECLARATION(name) extern const struct lr_schedule schedule_##name;
#define SCHEDULE_ENTRY(name)	   &schedule_##name.entry,
SCHEDULES(SCHEDULE_DECLARATION)

const struct registry optimizers = {
	.category = "optim",
	.noun = "optimizer",
	.entries = (const struct entry *const[]){ OPTIMIZERS(OPTIMIZER_ENTRY) NULL },
};

const struct registry schedules = {
	.category = "schedule",
	.noun = "schedule",
	.entries = (const struct entry *const[]){ SCHEDULES(SCHEDULE_ENTRY) NULL },
};
