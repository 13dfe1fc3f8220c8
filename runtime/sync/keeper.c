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
	if (keeper->rounds || keeper->judge)
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

static float *held_of(struct keeper *keeper, size_t worker)
{
	return keeper->held + worker * keeper->count;
}

/* All of them come from the same weights. */
static void finish_round(struct keeper *keeper)
{
	for (size_t w = 0; w < keeper->ledger.workers; w++)
		apply(keeper, held_of(keeper, w), 0);
}

static void apply_made_from(struct keeper *keeper, uint64_t version, float *update)
{
	uint64_t now = *keeper->version;

	apply(keeper, update, now > version ? now - version : 0);
}

static void put_off(struct keeper *keeper, const struct keeper_update *update)
{
	uint64_t *waiting = &keeper->waiting[update->worker];

	if (*waiting)
		note(keeper, NAN);
	*waiting = update->version + 1;
	memcpy(held_of(keeper, update->worker), keeper->update, keeper->count * sizeof(float));
}

/* Whoever is taken may let others follow. */
static void take_waiting(struct keeper *keeper)
{
	size_t workers = keeper->ledger.workers, passed = 0;

	for (size_t w = 0; passed < workers; w = (w + 1) % workers) {
		uint64_t waiting = keeper->waiting[w];

		passed++;
		if (!waiting || !keeper->judge->takes(keeper->judge->arg, w, held_of(keeper, w)))
			continue;
		apply_made_from(keeper, waiting - 1, held_of(keeper, w));
		keeper->waiting[w] = passed = 0;
	}
}

static void judge(struct keeper *keeper, const struct keeper_update *update)
{
	switch (keeper->judge->judge(keeper->judge->arg, update->worker, keeper->update,
				     update->own)) {
	case KEEPER_REFUSED: note(keeper, NAN); return;
	case KEEPER_WAITS: put_off(keeper, update); return;
	case KEEPER_TAKEN: apply_made_from(keeper, update->version, keeper->update);
	}
	take_waiting(keeper);
}

bool keeper_take(struct keeper *keeper, const struct keeper_update *update)
{
	enum ledger_entry entry = ledger_enter(&keeper->ledger, update->worker, update->clock);

	if (entry != LEDGER_NEW)
		return entry == LEDGER_SEEN;
	if (!keeper->rounds) {
		memcpy(keeper->update, update->floats, keeper->count * sizeof(float));
		if (keeper->judge)
			judge(keeper, update);
		else
			apply_made_from(keeper, update->version, keeper->update);
		return true;
	}
	memcpy(held_of(keeper, update->worker), update->floats, keeper->count * sizeof(float));
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
