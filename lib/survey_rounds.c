/* Rounds of disjoint pairs: a host sends or receives, since what it does the one way would hold
 * back the other one's acknowledgements. */
#include <math.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/survey_inside.h"

/* Round `round` of a tournament by the circle method: everybody meets everybody once, about as
 * often to send as to receive. */
static size_t meet(const struct survey *survey, size_t round, struct survey_flow *flows)
{
	size_t hosts = survey->hosts, seats = hosts + hosts % 2, turn = seats - 1, count = 0;

	for (size_t i = 0; i < seats / 2; i++) {
		size_t a = i == 0 ? turn : (round + i) % turn;
		size_t b = (round + turn - i) % turn;
		bool turned = (i == 0 ? round : i) % 2 == 1;

		if (a < hosts && b < hosts)
			flows[count++] = turned ? (struct survey_flow){ (int)b, (int)a }
						: (struct survey_flow){ (int)a, (int)b };
	}
	return count;
}

/* Of the flows that are left, as many as go at once without any host twice: to `chosen`. */
static size_t choose(const struct survey *survey, struct survey_flow *flows, size_t *left,
		     size_t at_once, struct survey_flow *chosen)
{
	bool *busy = xcalloc(survey->hosts, sizeof(*busy));
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < *left; i++) {
		struct survey_flow flow = flows[i];

		if (count == at_once || busy[flow.from] || busy[flow.to]) {
			flows[kept++] = flow;
			continue;
		}
		busy[flow.from] = busy[flow.to] = true;
		chosen[count++] = flow;
	}
	*left = kept;
	free(busy);
	return count;
}

/* In as many steps as the number of flows at once asks for, from all over the hosts each. */
static void add_parts(struct survey *survey, enum survey_kind kind, const struct survey_flow *flows,
		      size_t count, size_t at_once, const char *why)
{
	size_t parts = (count + at_once - 1) / at_once, left = 0;
	struct survey_flow *waiting = xcalloc(count + 1, sizeof(*waiting));
	struct survey_flow *chosen = xcalloc(count + 1, sizeof(*chosen));

	for (size_t part = 0; part < parts; part++)
		for (size_t i = part; i < count; i += parts)
			waiting[left++] = flows[i];
	while (left > 0) {
		size_t n = choose(survey, waiting, &left, at_once, chosen);

		survey_add(survey, kind, chosen, n, why);
	}
	free(waiting);
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
	for (size_t round = 0; round < rounds && !survey_time_is_up(survey, 0.25); round += apart) {
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
	       parts = (survey->hosts / 2 + ladder->sizes[rung] - 1) / ladder->sizes[rung];

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

/* Flows that twice did as well as any flow ever did: so there is room for so many at once, unless
 * which of them did so was a matter of chance. */
static bool some_are_full(const struct survey *survey, size_t rung)
{
	const struct ladder *ladder = &survey->ladder;
	size_t parts = (ladder->firsts[rung + 1] - ladder->firsts[rung]) / 2;
	size_t full = 0, once = 0, all = 0;

	for (size_t t = ladder->firsts[rung]; t < ladder->firsts[rung] + parts; t++) {
		const struct trial *trial = &survey->trials[t], *again = trial + parts;

		for (size_t i = 0; i < trial->step.count && i < again->step.count; i++, all++) {
			bool first = trial->rates[i] >= SURVEY_FULL * ladder->best;
			bool second = again->rates[i] >= SURVEY_FULL * ladder->best;

			full += first && second;
			once += first != second;
		}
	}
	return rung == 0 && full * 10 >= all && once * 6 <= all;
}

/* The first rung whose flows take nothing from each other, or not all of them do. */
static void choose_rung(struct survey *survey)
{
	struct ladder *ladder = &survey->ladder;

	for (size_t rung = 0; rung + 1 < ladder->rungs && !ladder->done; rung++) {
		if (ladder->sums[rung + 1] > 1.16 * ladder->sums[rung] &&
		    !some_are_full(survey, rung))
			continue;
		survey->at_once = ladder->sizes[rung];
		ladder->done = true;
		survey->ceiling = rung == 0 ? INFINITY : ladder->most;
	}
}

/* Neighbours: they are near each other, mostly, and nothing but the machine holds all of them back.
 */
static size_t neighbours(const struct survey *survey, size_t first, struct survey_flow *flows)
{
	size_t count = 0;

	for (size_t i = first; i + 1 < survey->hosts; i += 2)
		flows[count++] = (struct survey_flow){ (int)i, (int)i + 1 };
	return count;
}

static void add_rung(struct survey *survey, size_t size)
{
	struct ladder *ladder = &survey->ladder;
	struct survey_flow *flows = xcalloc(survey->hosts, sizeof(*flows));

	ladder->sizes[ladder->rungs] = size;
	ladder->firsts[ladder->rungs] = survey->trial_count;
	for (size_t turn = 0; turn < (ladder->rungs == 0 ? 2 : 1); turn++)
		for (size_t first = 0; first < (ladder->rungs == 0 && survey->hosts > 2 ? 2 : 1);
		     first++)
			add_parts(survey, SURVEY_FLOWS, flows, neighbours(survey, first, flows),
				  size, "how many at once");
	free(flows);
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
	if (!ladder->done && survey->at_once > 1 && !survey_time_is_up(survey, 0.4) &&
	    ladder->rungs + 1 < ARRAY_SIZE(ladder->sizes)) {
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

/* Each pair one way: that is enough to see who is near whom, and who shares what. The other way is
 * read when that is known. */
static void add_tournament(struct survey *survey)
{
	struct survey_flow *flows = xcalloc(survey->hosts, sizeof(*flows));

	for (size_t round = 0;
	     round < survey->hosts + survey->hosts % 2 - 1 && !survey_time_is_up(survey, 0.8);
	     round++)
		add_parts(survey, SURVEY_FLOWS, flows, meet(survey, round, flows), survey->at_once,
			  "pairs");
	free(flows);
}

bool survey_rounds(struct survey *survey)
{
	size_t count, before = survey->trial_count;
	size_t *shifts;

	if (survey->passes++ > 0)
		return false;
	if (survey->hosts <= SURVEY_LARGE) {
		add_tournament(survey);
		return survey->trial_count > before;
	}
	shifts = survey_shifts(survey->hosts, &count);
	for (size_t i = 0; i < count; i++)
		add_shift(survey, shifts[i], survey->at_once, "pairs");
	free(shifts);
	return survey->trial_count > before;
}
