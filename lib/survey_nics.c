/* What a host sends, and receives, over several flows at once: its NIC, if that is less. */
#include <math.h>
#include <stdlib.h>

#include "lib/memory.h"
#include "lib/survey_inside.h"

void survey_nics_init(struct survey *survey)
{
	struct nic_tests *nics = &survey->nics;

	for (enum survey_way way = 0; way < SURVEY_WAYS; way++) {
		nics->most[way] = xcalloc(survey->hosts, sizeof(*nics->most[way]));
		nics->fan[way] = xcalloc(survey->hosts, sizeof(*nics->fan[way]));
		nics->boundless[way] = xcalloc(survey->hosts, sizeof(*nics->boundless[way]));
		nics->again[way] = xcalloc(survey->hosts, sizeof(*nics->again[way]));
		nics->done[way] = xcalloc(survey->hosts, sizeof(*nics->done[way]));
		for (size_t host = 0; host < survey->hosts; host++)
			nics->fan[way][host] = 2;
	}
}

void survey_nics_release(struct survey *survey)
{
	for (enum survey_way way = 0; way < SURVEY_WAYS; way++) {
		free(survey->nics.most[way]);
		free(survey->nics.fan[way]);
		free(survey->nics.boundless[way]);
		free(survey->nics.again[way]);
		free(survey->nics.done[way]);
	}
}

static double alone(const struct survey *survey, int host, int other, enum survey_way way)
{
	int from = way == SURVEY_UP ? host : other, to = way == SURVEY_UP ? other : host;

	return fmin(links_pair(&survey->model, from, to)->bytes_per_s,
		    survey_room(survey, from, to));
}

static bool works(const struct survey *survey, int host, int other, enum survey_way way)
{
	return way == SURVEY_UP ? survey_works(survey, host, other)
				: survey_works(survey, other, host);
}

/* The fastest of those still free; -1: none. */
static int partner(const struct survey *survey, int host, enum survey_way way, const bool *used)
{
	int hosts = (int)survey->hosts, best = -1;

	for (int i = 1; i < hosts; i++) {
		int other = (host + i) % hosts;

		if (used[other] || !works(survey, host, other, way))
			continue;
		if (best < 0 ||
		    alone(survey, host, other, way) > 1.1 * alone(survey, host, best, way))
			best = other;
	}
	return best;
}

/* Adds the flows of one host if enough others are free. Returns how many. */
static size_t add_fan(const struct survey *survey, int host, enum survey_way way, bool *used,
		      struct survey_flow *flows)
{
	bool *taken = xcalloc(survey->hosts, sizeof(*taken));
	size_t fan = survey->nics.fan[way][host], count = 0;

	for (size_t i = 0; i < survey->hosts; i++)
		taken[i] = used[i];
	taken[host] = true;
	while (count < fan) {
		int other = partner(survey, host, way, taken);

		if (other < 0)
			break;
		taken[other] = true;
		flows[count++] = way == SURVEY_UP ? (struct survey_flow){ host, other }
						  : (struct survey_flow){ other, host };
	}
	if (count == fan)
		for (size_t i = 0; i < survey->hosts; i++)
			used[i] = taken[i];
	free(taken);
	return count == fan ? count : 0;
}

/* As many hosts in one step as there are others to talk to. */
static bool add_step(struct survey *survey, bool *queued[SURVEY_WAYS])
{
	struct survey_flow *flows = xcalloc(survey->hosts * 2, sizeof(*flows));
	bool *used = xcalloc(survey->hosts, sizeof(*used));
	size_t count = 0, tests = 0;

	for (enum survey_way way = 0; way < SURVEY_WAYS; way++)
		for (int host = 0; host < (int)survey->hosts; host++) {
			size_t added;

			if (queued[way][host] || survey->nics.done[way][host] || used[host] ||
			    tests >= survey->at_once)
				continue;
			added = add_fan(survey, host, way, used, flows + count);
			if (!added)
				continue;
			queued[way][host] = true;
			count += added;
			tests++;
		}
	if (count)
		survey_add(survey, SURVEY_FLOWS, flows, count, "several flows of a host");
	free(flows);
	free(used);
	return count > 0;
}

/* Several flows that did a little more than one may have been noise: the less of two tests counts.
 * True: there has to be another one. */
static bool note_sum(struct survey *survey, int host, enum survey_way way, double sum)
{
	struct nic_tests *nics = &survey->nics;
	double *most = &nics->most[way][host], nic = survey_nic(survey, host, way);
	bool *again = &nics->again[way][host];

	if (*again) {
		*most = fmin(*most, sum);
		*again = false;
		return false;
	}
	*again = sum > 1.1 * nic && sum < 1.5 * nic && sum > *most;
	*most = fmax(*most, sum);
	return *again;
}

static void judge_host(struct survey *survey, int host, enum survey_way way, double sum,
		       double expected, size_t count)
{
	struct nic_tests *nics = &survey->nics;
	bool *done = &nics->done[way][host];
	double nic = survey_nic(survey, host, way);

	if (note_sum(survey, host, way, sum))
		return;
	if (sum < SURVEY_FULL * expected || expected < 1.1 * nic || count < nics->fan[way][host]) {
		*done = true;
		return;
	}
	if (count + 1 >= survey->hosts)
		*done = nics->boundless[way][host] = true;
	nics->fan[way][host] = count * 2 < survey->hosts ? count * 2 : survey->hosts - 1;
}

static void judge_trial(struct survey *survey, const struct trial *trial)
{
	for (int host = 0; host < (int)survey->hosts; host++)
		for (enum survey_way way = 0; way < SURVEY_WAYS; way++) {
			double sum = 0, expected = 0;
			size_t count = 0;

			for (size_t i = 0; i < trial->step.count; i++) {
				const struct survey_flow *flow = &trial->step.flows[i];
				int end = way == SURVEY_UP ? flow->from : flow->to;
				int other = way == SURVEY_UP ? flow->to : flow->from;

				if (end != host || isnan(trial->rates[i]))
					continue;
				sum += trial->rates[i];
				expected += alone(survey, host, other, way);
				count++;
			}
			if (count > 1)
				judge_host(survey, host, way, sum, expected, count);
		}
}

bool survey_nics(struct survey *survey)
{
	bool *queued[SURVEY_WAYS], more = true;
	size_t before = survey->trial_count;

	if (survey->hosts < 3 || survey_time_is_up(survey, 0.8))
		return false;
	if (survey->passes++ > 0)
		for (size_t t = survey->batch; t < survey->trial_count; t++)
			judge_trial(survey, &survey->trials[t]);
	for (enum survey_way way = 0; way < SURVEY_WAYS; way++)
		queued[way] = xcalloc(survey->hosts, sizeof(bool));
	while (more)
		more = add_step(survey, queued);
	for (enum survey_way way = 0; way < SURVEY_WAYS; way++) {
		for (size_t host = 0; host < survey->hosts; host++)
			if (!queued[way][host])
				survey->nics.done[way][host] = true;
		free(queued[way]);
	}
	return survey->trial_count > before;
}
