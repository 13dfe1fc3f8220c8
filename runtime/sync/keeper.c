/* What a rank that holds a piece of the parameters does with updates. */
#include "runtime/sync/keeper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/numbers.h"
#include "runtime/device/cpu.h"

void keeper_init(struct keeper *keeper)
{
	size_t bytes = keeper->count * sizeof(float);

	keeper->values = xaligned(bytes);
	keeper->update = xaligned(bytes);
	if (keeper->rounds)
		keeper->held = xaligned(keeper->ledger.workers * bytes);
}

static void note(struct keeper *keeper, double staleness)
{
	keeper->recent[keeper->noted++ % KEEPER_RECENT] = staleness;
}

/* An update is a part of a step, as is what it missed. A product and a sum, so that the result is
 * the same on every processor. */
static void apply(struct keeper *keeper, float *update, uint64_t staleness)
{
	double missed = (double)staleness / (double)keeper->ledger.workers;
	double factor = dampening_factor(&keeper->dampening, missed);

	cpu_scale(update, (float)(keeper->scale * factor), keeper->count);
	cpu_add(keeper->values, update, keeper->count);
	++*keeper->version;
	note(keeper, (double)staleness);
}

/* All of them come from the same weights. */
static void finish_round(struct keeper *keeper)
{
	for (size_t w = 0; w < keeper->ledger.workers; w++)
		apply(keeper, keeper->held + w * keeper->count, 0);
}

static void judge(struct keeper *keeper, const struct keeper_update *update)
{
	uint64_t now = *keeper->version;

	memcpy(keeper->update, update->floats, keeper->count * sizeof(float));
	if (keeper->judge && !keeper->judge->accepts(keeper->judge->arg, update->worker,
						     keeper->update, update->own))
		note(keeper, NAN);
	else
		apply(keeper, keeper->update, now > update->version ? now - update->version : 0);
}

bool keeper_take(struct keeper *keeper, const struct keeper_update *update)
{
	enum ledger_entry entry = ledger_enter(&keeper->ledger, update->worker, update->clock);

	if (entry != LEDGER_NEW)
		return entry == LEDGER_SEEN;
	if (!keeper->rounds) {
		judge(keeper, update);
		return true;
	}
	memcpy(keeper->held + update->worker * keeper->count, update->floats,
	       keeper->count * sizeof(float));
	if (ledger_slowest(&keeper->ledger) == update->clock)
		finish_round(keeper);
	return true;
}

void keeper_report(const struct keeper *keeper, double *staleness, double *most, double *accepted)
{
	size_t count = keeper->noted < KEEPER_RECENT ? keeper->noted : KEEPER_RECENT, taken = 0;
	double late[KEEPER_RECENT];

	for (size_t i = 0; i < count; i++)
		if (!isnan(keeper->recent[i]))
			late[taken++] = keeper->recent[i];
	*staleness = numbers_median(late, taken);
	*most = taken ? late[taken - 1] : NAN;
	*accepted = count ? (double)taken / (double)count : NAN;
}

void keeper_release(struct keeper *keeper)
{
	free(keeper->values);
	free(keeper->held);
	free(keeper->update);
	*keeper = (struct keeper){ 0 };
}
