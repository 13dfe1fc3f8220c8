/* Reads again, in peace, the pairs whose readings others may have taken something from. */
#include <math.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/survey_inside.h"

enum { PASSES = 4, PASSES_LARGE = 2 };

/* Slower than its way is known to be: perhaps by something that was not found, which others share.
 */
static bool doubtful(const struct survey *survey, int from, int to)
{
	return survey_measured(survey, from, to)->best <
	       SURVEY_FULL * survey_room(survey, from, to);
}

/* Flows that are free of each other: nobody twice, and no segment overfull; and, the second time,
 * no two that are doubtful. */
static size_t pack(const struct survey *survey, bool *waiting, struct survey_flow *flows)
{
	bool *sends = xcalloc(survey->hosts, sizeof(*sends));
	bool *receives = xcalloc(survey->hosts, sizeof(*receives));
	size_t hosts = survey->hosts, count = 0, in_doubt = 0;

	for (size_t i = 0; i < hosts * hosts && count < survey->at_once; i++) {
		size_t from = i % hosts, to = (i / hosts + from) % hosts; /* round by round */
		bool *wanted = &waiting[from * hosts + to];

		if (!*wanted || sends[from] || receives[to])
			continue;
		flows[count] = (struct survey_flow){ (int)from, (int)to };
		if (survey_crowded(survey, flows, count + 1, count, SURVEY_NONE))
			continue;
		if (survey->passes > 1 && hosts <= SURVEY_LARGE &&
		    doubtful(survey, (int)from, (int)to) && in_doubt++ > 0)
			continue;
		*wanted = false;
		sends[from] = receives[to] = true;
		count++;
	}
	free(sends);
	free(receives);
	return count;
}

/* Whether many of the last readings differ from those before: then these were no peace. */
static bool unsteady(const struct survey *survey)
{
	size_t again = 0, other = 0;

	for (size_t t = survey->batch; t < survey->trial_count; t++)
		for (size_t i = 0; i < survey->trials[t].step.count; i++) {
			const struct survey_flow *flow = &survey->trials[t].step.flows[i];
			double rate = survey->trials[t].rates[i];
			double best = survey_measured(survey, flow->from, flow->to)->best;

			if (isnan(rate))
				continue;
			again++;
			other += rate < SURVEY_FULL * best;
		}
	return other * 4 > again;
}

bool survey_settle(struct survey *survey)
{
	size_t hosts = survey->hosts, count, before = survey->trial_count;
	struct survey_flow *flows;
	bool *waiting;

	if (survey->passes++ == (hosts > SURVEY_LARGE ? PASSES_LARGE : PASSES))
		return false;
	if (survey->passes == 1)
		survey_climb_again(survey);
	else if (unsteady(survey))
		survey->at_once = (survey->at_once + 1) / 2;
	waiting = xcalloc(hosts * hosts, sizeof(*waiting));
	flows = xcalloc(hosts, sizeof(*flows));
	for (size_t i = 0; i < hosts * hosts; i++)
		waiting[i] = survey_unsettled(survey, (int)(i / hosts), (int)(i % hosts));
	while (!survey_time_is_up(survey, 1) && (count = pack(survey, waiting, flows)) > 0)
		survey_add(survey, SURVEY_FLOWS, flows, count, "pairs in peace");
	free(waiting);
	free(flows);
	return survey->trial_count > before;
}
