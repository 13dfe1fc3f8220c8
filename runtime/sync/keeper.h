/*
 * What a rank that holds a piece of the parameters does with updates: each is applied once, less
 * the later it comes, unless it is refused; or all of a round at once, in the order of the workers,
 * so that the sum has the same bits whoever comes first. Of each worker one update may wait until
 * others are applied; the next one takes its place. No I/O and no lock.
 */
#ifndef DSTRAIN_RUNTIME_SYNC_KEEPER_H
#define DSTRAIN_RUNTIME_SYNC_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/sync/dampening.h"
#include "runtime/sync/ledger.h"

enum keeper_verdict { KEEPER_REFUSED, KEEPER_TAKEN, KEEPER_WAITS };

/* Who may refuse updates. */
struct keeper_judge {
	void *arg;
	/* `own`: what the worker says of itself; NAN: nothing. */
	enum keeper_verdict (*judge)(void *arg, size_t worker, const float *update, double own);
	/* Whether what waits is taken, now that another was. */
	bool (*takes)(void *arg, size_t worker, const float *update);
	/* The worker's next update comes from these values. */
	void (*answered)(void *arg, size_t worker, const float *values);
};

enum { KEEPER_RECENT = 64 };

struct keeper {
	size_t count;
	float scale; /* of every update, before it is dampened */
	struct dampening dampening;
	bool rounds;
	const struct keeper_judge *judge; /* NULL: all are taken; borrowed */
	struct ledger ledger;
	uint64_t *version; /* updates applied; borrowed, as a checkpoint has it */
	uint64_t *waiting; /* [workers] the version that what waits was made from, and 1; 0: none
			    * does. Borrowed, too; of a judge alone */

	float *values; /* [count]; these three are owned */
	float *held;   /* [workers * count], if `rounds` or judged */
	float *update; /* [count], the one that is being applied */

	double recent[KEEPER_RECENT]; /* staleness of updates, in a ring; NAN: it was refused */
	size_t noted;
};

struct keeper_update {
	size_t worker;
	uint64_t clock, version; /* of the weights that it was made from */
	double own;
	const void *floats; /* [count], at any address */
};

/* Once all but the last part is filled in. */
void keeper_init(struct keeper *keeper);
/* Whoever may be answered now is asked of the ledger; false: it makes no sense, and nothing has
 * happened. */
bool keeper_take(struct keeper *keeper, const struct keeper_update *update);
/* Of the last updates that were not refused: median and most; and their part of all. NAN: none
 * came. */
void keeper_report(const struct keeper *keeper, double *staleness, double *most, double *accepted);
void keeper_release(struct keeper *keeper);

#endif
