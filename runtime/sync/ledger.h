/*
 * What a rank that holds parameters knows of the others' clocks: whose update is new, and who may
 * be answered. A rank's clock is the number of its last step; it begins the next one once it has
 * the answer to its last update, or to the one before that if it computes meanwhile. An answer
 * waits until the slowest rank has come so far that no two clocks ever are more than `bound` apart.
 * Plain data, no I/O; tests/spin/ssp.pml is a model of it.
 */
#ifndef DSTRAIN_RUNTIME_SYNC_LEDGER_H
#define DSTRAIN_RUNTIME_SYNC_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The arrays [workers] are the owner's, and all that a checkpoint needs. */
struct ledger {
	size_t workers;
	uint64_t *clock; /* of the last update that came */
	uint64_t *owed;	 /* that of an update not yet answered; 0: none is */
	size_t bound;	 /* 0: everybody is answered at once */
	size_t ahead;	 /* steps that a rank begins without the answer to its last update */
};

enum ledger_entry {
	LEDGER_NEW,
	LEDGER_SEEN, /* it was applied before, and is to be answered again */
	LEDGER_GAP   /* one before it is missing */
};

/* An update of `worker`, whose clock says `clock`. */
enum ledger_entry ledger_enter(struct ledger *ledger, size_t worker, uint64_t clock);
uint64_t ledger_slowest(const struct ledger *ledger);
/* The clock whose update may be answered now; 0: none. It is not owed any more. */
uint64_t ledger_answer(struct ledger *ledger, size_t worker);

#endif
