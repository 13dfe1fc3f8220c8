/* Who averages with whom at each step: ds_sync's schedules. */
#ifndef DSTRAIN_RUNTIME_DS_SCHEDULE_H
#define DSTRAIN_RUNTIME_DS_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/groups.h"
#include "lib/opt.h"

struct error;
struct sync_env;

enum ds_schedule_kind {
	DS_PLANNED, /* as the plan says; DS_RADIX where there is none */
	DS_RADIX,
	DS_RANDOM,
	DS_ROTATING
};
extern const char *const ds_schedule_names[]; /* NULL-terminated, for option tables */

struct ds_schedule_params {
	int kind; /* enum ds_schedule_kind */
	struct opt_counts radix;
	size_t group;
};

/* Zeroed is valid. */
struct ds_schedule {
	struct schedule fixed; /* no phases: groups are drawn for each step */
	struct partition drawn;
	bool planned; /* `fixed` is the plan's */
	uint64_t seed;
};

/* A radix that was given wins over any plan. */
bool ds_schedule_wants_plan(const struct ds_schedule_params *params);
/* Groups that do not fit the number of ranks, or a radix for those that have none, are errors. */
int ds_schedule_init(struct ds_schedule *schedule, const struct ds_schedule_params *params,
		     const struct sync_env *env, struct error *err);
/* Valid until the next call. */
const struct partition *ds_schedule_at(struct ds_schedule *schedule, uint64_t step);
void ds_schedule_release(struct ds_schedule *schedule);

#endif
