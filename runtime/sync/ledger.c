/* Whose update is new, and who may be answered. */
#include "runtime/sync/ledger.h"

enum ledger_entry ledger_enter(struct ledger *ledger, size_t worker, uint64_t clock)
{
	if (clock > ledger->clock[worker] + 1)
		return LEDGER_GAP;
	if (clock <= ledger->clock[worker]) {
		if (ledger->owed[worker] == 0)
			ledger->owed[worker] = ledger->clock[worker];
		return LEDGER_SEEN;
	}
	ledger->clock[worker] = ledger->owed[worker] = clock;
	return LEDGER_NEW;
}

uint64_t ledger_slowest(const struct ledger *ledger)
{
	uint64_t least = ledger->clock[0];

	for (size_t w = 1; w < ledger->workers; w++)
		if (ledger->clock[w] < least)
			least = ledger->clock[w];
	return least;
}

/* With the answer to step c a rank takes step c + 1 + ahead, and then its clock says so. */
uint64_t ledger_answer(struct ledger *ledger, size_t worker)
{
	uint64_t clock = ledger->owed[worker];

	if (clock == 0 ||
	    (ledger->bound && clock + 1 + ledger->ahead > ledger_slowest(ledger) + ledger->bound))
		return 0;
	ledger->owed[worker] = 0;
	return clock;
}
