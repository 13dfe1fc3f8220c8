/* Rounds of disjoint pairs: everybody sends to one and receives from one. */
#include <math.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/survey_inside.h"

/* Round `round` of a tournament by the circle method: everybody meets everybody once. */
static size_t meet(const struct survey *survey, size_t round, struct survey_flow *flows)
{
	size_t hosts = survey->hosts, seats = hosts + hosts % 2, turn = seats - 1, count = 0;

	for (size_t i = 0; i < seats / 2; i++) {
		size_t a = i == 0 ? turn : (round + i) % turn;
		size_t b = (round + turn - i) % turn;

		if (a < hosts && b < hosts)
			flows[count++] = (struct survey_flow){ (int)a, (int)b };
	}
	return count;
}

/* In as many steps as the number of flows at once asks for, from all over the hosts each. */
static void add_parts(struct survey *survey, enum survey_kind kind, const struct survey_flow *flows,
		      size_t count, size_t at_once, const char *why)
{
	size_t parts = (count + at_once - 1) / at_once;
	struct survey_flow *chosen = xcalloc(count + 1, sizeof(*chosen));

	for (size_t part = 0; part < parts; part++) {
		size_t n = 0;

		for (size_t i = part; i < count; i += parts)
			chosen[n++] = flows[i];
		survey_add(survey, kind, chosen, n, why);
	}
	free(chosen);
}

static bool has(const size_t *shifts, size_t count, size_t shift)
{
	for (size_t i = 0; i < count; i++)
		if (shifts[i] == shift)
			return true;
	return false;
}

/* Both ways, so that what a pair does one way is known of the other, too. */
size_t *survey_shifts(size_t parties, size_t *count)
{
	size_t *shifts = xcalloc(parties + 1, sizeof(*shifts));

	*count = 0;
	if (parties <= SURVEY_LARGE) {
		for (size_t shift = 1; shift < parties; shift++)
			shifts[(*count)++] = shift;
		return shifts;
	}
	for (size_t step = 1; step <= parties / 2; step *= 2) {
		size_t both[] = { step, parties - step, step * 3 / 2, parties - step * 3 / 2 };

		for (size_t i = 0; i < ARRAY_SIZE(both); i++)
			if (!has(shifts, *count, both[i]))
				shifts[(*count)++] = both[i];
	}
	return shifts;
}

bool survey_pings(struct survey *survey)
{
	size_t hosts = survey->hosts, rounds = hosts + hosts % 2 - 1, apart = 1;
	struct survey_flow *flows;

	if (survey->passes++ > 0)
		return false;
	while (hosts > SURVEY_LARGE && rounds / apart > SURVEY_LARGE)
		apart++;
	flows = xcalloc(hosts, sizeof(*flows));
	for (size_t round = 0; round < rounds; round += apart) {
		size_t count = meet(survey, round, flows);

		add_parts(survey, SURVEY_PING, flows, count, survey->at_once, "round trips");
	}
	free(flows);
	return true;
}

static void add_shift(struct survey *survey, size_t shift, size_t at_once, const char *why)
{
	struct survey_flow *flows = xcalloc(survey->hosts, sizeof(*flows));

	for (size_t i = 0; i < survey->hosts; i++)
		flows[i] = (struct survey_flow){ (int)i, (int)((i + shift) % survey->hosts) };
	add_parts(survey, SURVEY_FLOWS, flows, survey->hosts, at_once, why);
	free(flows);
}

static void tally(struct survey *survey, size_t rung)
{
	struct ladder *ladder = &survey->ladder;
	size_t first = ladder->firsts[rung],
	       parts = (survey->hosts + ladder->sizes[rung] - 1) / ladder->sizes[rung];

	for (size_t t = first; t < survey->trial_count; t++) {
		const struct trial *trial = &survey->trials[t];
		double sum = 0;

		for (size_t i = 0; i < trial->step.count; i++) {
			if (isnan(trial->rates[i]))
				continue;
			sum += trial->rates[i];
			ladder->best = fmax(ladder->best, trial->rates[i]);
		}
		if (t < first + parts)
			ladder->sums[rung] += sum;
		if (!(sum <= ladder->most))
			ladder->most = sum;
	}
}

/* Flows that twice did as well as any flow ever did: so there is room for so many at once. */
static bool some_are_full(const struct survey *survey, size_t rung)
{
	const struct ladder *ladder = &survey->ladder;
	size_t parts = (ladder->firsts[rung + 1] - ladder->firsts[rung]) / 2, full = 0, all = 0;

	for (size_t t = ladder->firsts[rung]; t < ladder->firsts[rung] + parts; t++) {
		const struct trial *trial = &survey->trials[t], *again = trial + parts;

		for (size_t i = 0; i < trial->step.count && i < again->step.count; i++, all++)
			full += fmin(trial->rates[i], again->rates[i]) >=
				SURVEY_FULL * ladder->best;
	}
	return rung == 0 && full * 8 >= all;
}

/* The first rung whose flows take nothing from each other, or not all of them do. */
static void choose_rung(struct survey *survey)
{
	struct ladder *ladder = &survey->ladder;

	for (size_t rung = 0; rung + 1 < ladder->rungs && !ladder->done; rung++) {
		if (ladder->sums[rung + 1] > 1.1 * ladder->sums[rung] &&
		    !some_are_full(survey, rung))
			continue;
		survey->at_once = ladder->sizes[rung];
		ladder->done = true;
		survey->ceiling = rung == 0 ? INFINITY : ladder->most;
	}
}

static void add_rung(struct survey *survey, size_t size)
{
	struct ladder *ladder = &survey->ladder;

	ladder->sizes[ladder->rungs] = size;
	ladder->firsts[ladder->rungs] = survey->trial_count;
	for (size_t turn = 0; turn < (ladder->rungs == 0 ? 2 : 1); turn++)
		for (size_t shift = 1; shift <= 2 && shift < survey->hosts; shift++)
			if (shift == 1 || ladder->rungs == 0)
				add_shift(survey, shift, size, "how many at once");
	survey->at_once = size;
}

/* A round is done with all flows at once, then with half of them at once, and so on: where all are
 * slow together and fewer are faster, it is not the network that is measured. */
bool survey_climb(struct survey *survey)
{
	struct ladder *ladder = &survey->ladder;
	size_t most = survey->at_once, room;

	if (survey->passes++ == 0) {
		add_rung(survey, most);
		return survey->hosts > 1;
	}
	tally(survey, ladder->rungs++);
	choose_rung(survey);
	if (!ladder->done && survey->at_once > 1 && ladder->rungs + 1 < ARRAY_SIZE(ladder->sizes)) {
		add_rung(survey, (survey->at_once + 1) / 2);
		return true;
	}
	if (isfinite(survey->ceiling) && ladder->best > 0) {
		room = (size_t)(0.75 * survey->ceiling / ladder->best);
		if (room > survey->at_once && room < ladder->sizes[0])
			survey->at_once = room;
	}
	return false;
}

/* Now that segments are known: were they the reason that many at once were slow? */
void survey_climb_again(struct survey *survey)
{
	struct ladder *ladder = &survey->ladder;
	struct sums sums;

	if (ladder->rungs == 0 || survey->at_once >= ladder->sizes[0])
		return;
	sums = survey_sums(survey, &survey->trials[ladder->firsts[0]]);
	if (sums.got < SURVEY_FULL * sums.expected)
		return;
	survey->at_once = ladder->sizes[0];
	survey->ceiling = INFINITY;
}

bool survey_rounds(struct survey *survey)
{
	size_t count, before = survey->trial_count;
	size_t *shifts;

	if (survey->passes++ > 0)
		return false;
	shifts = survey_shifts(survey->hosts, &count);
	for (size_t i = 0; i < count; i++)
		if (shifts[i] > 2)
			add_shift(survey, shifts[i], survey->at_once, "pairs");
	free(shifts);
	return survey->trial_count > before;
}
