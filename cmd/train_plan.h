/* Before workers train: what the links carry, and who is to synchronise with whom. */
#ifndef DSTRAIN_CMD_TRAIN_PLAN_H
#define DSTRAIN_CMD_TRAIN_PLAN_H

#include "cmd/train_links.h"
#include "lib/roster.h"

struct error;
struct json;
struct train;

/* Zeroed is valid, and no plan. */
struct train_plan {
	enum train_links source;
	struct roster roster; /* its world is 0 unless there is a plan */
	struct json *record;  /* plan.json; NULL if there is no plan, or if it was there before */
	char *why;	      /* what was chosen, one line; NULL: nothing to say */
	char *compression;    /* what it costs or saves; NULL: nothing to say */
	bool warns;	      /* and nobody but the recipe wants it so */
};

/* The hosts are known: where links come from, and those of a file. An error is the user's. */
int train_plan_prepare(struct train *train, struct error *err);
/* What is known by now is all there is: plans, and puts into the recipe what was chosen. Returns
 * the exit status; what failed was said. */
int train_plan_choose(struct train *train);
/* In a run directory: measures what has to be, chooses, and writes links.json and plan.json.
 * Returns as the one before. */
int train_plan_make(struct train *train);
/* The plan of the run directory instead. */
int train_plan_restore(struct train *train, struct error *err);
void train_plan_release(struct train_plan *plan);

#endif
