/*
 * Reads again what is not known well enough: pairs whose readings others may have taken something
 * from, or whose interval is wide, and segments. The worst first, and at once what shares nothing.
 */
#include <math.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/survey_inside.h"

enum { PASSES = 8, PASSES_LARGE = 3 };

struct candidate {
	struct survey_flow flow;
	double spread; /* INFINITY: not read in peace */
};

static int wider(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->spread != y->spread)
		return (x->spread < y->spread) - (x->spread > y->spread);
	return x->flow.from != y->flow.from ? x->flow.from - y->flow.from : x->flow.to - y->flow.to;
}

/* Slower than its way is known to be: perhaps by something that was not found, which others share.
 */
static bool doubtful(const struct survey *survey, const struct survey_flow *flow)
{
	return survey_measured(survey, flow->from, flow->to)->best <
	       SURVEY_FULL * survey_room(survey, flow->from, flow->to);
}

/* Flows that are free of each other: nobody twice, and no segment overfull; and, the second time,
 * no two that are doubtful. What is left stays in the list. */
static size_t pack(const struct survey *survey, struct candidate *waiting, size_t *left,
		   struct survey_flow *flows)
{
	bool *busy = xcalloc(survey->hosts, sizeof(*busy));
	size_t count = 0, kept = 0, in_doubt = 0;

	for (size_t i = 0; i < *left; i++) {
		struct candidate candidate = waiting[i];
		bool fits = count < survey->at_once && !busy[candidate.flow.from] &&
			    !busy[candidate.flow.to];

		flows[count] = candidate.flow;
		fits = fits && !survey_crowded(survey, flows, count + 1, count, SURVEY_NONE);
		if (fits && survey->passes > 1 && survey->hosts <= SURVEY_LARGE &&
		    doubtful(survey, &candidate.flow))
			fits = in_doubt++ == 0;
		if (!fits) {
			waiting[kept++] = candidate;
			continue;
		}
		busy[candidate.flow.from] = busy[candidate.flow.to] = true;
		count++;
	}
	*left = kept;
	free(busy);
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

/* Round by round, but wide intervals first. */
static struct candidate *list_pairs(const struct survey *survey, size_t *count)
{
	size_t hosts = survey->hosts;
	struct candidate *list = NULL;

	*count = 0;
	for (size_t i = 0; i < hosts * hosts; i++) {
		int from = (int)(i % hosts), to = (int)((i / hosts + i % hosts) % hosts);
		double spread = links_pair(&survey->links, from, to)->spread;

		if (!survey_unsettled(survey, from, to))
			continue;
		list = xgrow(list, *count, sizeof(*list));
		list[(*count)++] =
			(struct candidate){ { from, to }, isnan(spread) ? INFINITY : spread };
	}
	return list;
}

/* One step for each of these that has no room beside those before it. */
static void read_segments(struct survey *survey)
{
	size_t first = 2 * survey->hosts, count = 0;
	struct survey_flow *flows = xcalloc(survey->hosts + 1, sizeof(*flows));
	bool *busy = xcalloc(survey->hosts, sizeof(*busy));

	for (size_t s = first; s < survey->model.segment_count; s++) {
		if (survey->model.segments[s].spread <= survey->params.precision)
			continue;
		count += survey_fill(survey, s, busy, flows + count);
	}
	if (count > 1 && !survey_time_is_up(survey, 1))
		survey_add(survey, SURVEY_FLOWS, flows, count, "shared links again");
	free(flows);
	free(busy);
}

bool survey_settle(struct survey *survey)
{
	size_t hosts = survey->hosts, left, count, before = survey->trial_count;
	struct survey_flow *flows;
	struct candidate *waiting;

	if (survey->passes++ == (hosts > SURVEY_LARGE ? PASSES_LARGE : PASSES))
		return false;
	if (survey->passes == 1)
		survey_climb_again(survey);
	else if (unsteady(survey))
		survey->at_once = (survey->at_once + 1) / 2;
	if (!survey->params.pairs_only) {
		survey_refine(survey);
		read_segments(survey);
	}
	waiting = list_pairs(survey, &left);
	if (waiting && survey->passes > 1)
		qsort(waiting, left, sizeof(*waiting), wider);
	flows = xcalloc(hosts + 1, sizeof(*flows));
	while (!survey_time_is_up(survey, 1) && left > 0 &&
	       (count = pack(survey, waiting, &left, flows)) > 0)
		survey_add(survey, SURVEY_FLOWS, flows, count, "pairs in peace");
	free(waiting);
	free(flows);
	return survey->trial_count > before;
}
