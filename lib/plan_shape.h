/*
 * Shapes of schedules: base phases on any order of the ranks, and the sequence in which they come.
 * Pure values, that a search compares before it makes schedules of them.
 */
#ifndef DSTRAIN_LIB_PLAN_SHAPE_H
#define DSTRAIN_LIB_PLAN_SHAPE_H

#include <stdbool.h>

#include "lib/groups.h"

enum {
	SHAPE_AXES = 4,	    /* of a mixed radix at most; more are slower to agree */
	SHAPE_SEQUENCE = 32 /* phases of a period */
};

/* RADIX_AND_ALL: near phases of a mixed radix, and one of all ranks in place of the far ones. */
enum plan_shape_kind { SHAPE_RADIX, SHAPE_RADIX_AND_ALL, SHAPE_ROTATION, SHAPE_RACKS };

/* Base phases on an order of the ranks, and the sequence in which they come. */
struct plan_shape {
	enum plan_shape_kind kind;
	int radix[SHAPE_AXES], bases; /* base phases; all ranks come after them */
	int size;		      /* of groups that rotate */
	int sequence[SHAPE_SEQUENCE], length, near, far;
	int exact_after;
	double step_s;
};

/* The base phases, each once; `racks` is for SHAPE_RACKS. */
struct schedule plan_shape_bases(const struct plan_shape *shape, int world, const int *order,
				 const struct partition *racks);
/* All of a period, in sequence. */
struct schedule plan_shape_schedule(const struct plan_shape *shape, int world, const int *order,
				    const struct partition *racks);

/* Each base phase once. */
void plan_shape_plain(struct plan_shape *shape);
/* `repeats` near phases for each far one, all in turn, if base phases take `seconds` each. False:
 * no such sequence, or a long one. */
bool plan_shape_repeat(struct plan_shape *shape, const double *seconds, int repeats);
/* The most steps from one time to the next that a base phase comes, of those that together make an
 * average exact. */
int plan_shape_wait(const struct plan_shape *shape);
/* "ds_sync 2x2x2 (3 near, 1 far), rack-major". Caller frees. */
char *plan_shape_name(const struct plan_shape *shape, const char *order);

#endif
