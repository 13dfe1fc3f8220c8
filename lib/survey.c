/* A survey: its stages in turn, each asking for steps until it knows enough. */
#include "lib/survey.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/flow.h"
#include "lib/memory.h"
#include "lib/survey_inside.h"

/* Stages in turn, and about how many steps each takes. */
struct stage {
	bool (*plan)(struct survey *survey);
	double (*steps)(const struct survey *survey);
	bool contends; /* with flows that are to take something from each other */
};

static double rounds_steps(const struct survey *survey)
{
	double hosts = (double)survey->hosts;

	return hosts > SURVEY_LARGE ? 4 * log2(hosts) : hosts - 1;
}

static double flow_rounds_steps(const struct survey *survey)
{
	return rounds_steps(survey) * ceil((double)survey->hosts / 2 / (double)survey->at_once);
}

static double few_steps(const struct survey *survey)
{
	return survey->hosts > 2 ? 6 : 2;
}

/* Two steps each way for each cluster known so far, and more where something is found. */
static double segments_steps(const struct survey *survey)
{
	return 6 * (double)survey->suspect_count;
}

static double search_steps(const struct survey *survey)
{
	return survey->hosts > 2 ? 6 + 2 * (double)survey->hosts / (double)survey->at_once : 0;
}

/* The busiest segment has one flow after the other, if one fills it. Before anything is known, half
 * of the pairs are taken to need another reading: the rounds read each of them one way. */
static double settle_steps(const struct survey *survey)
{
	double all = 0, busiest = 0;

	for (size_t s = 2 * survey->hosts; s < survey->model.segment_count; s++) {
		const struct link_segment *segment = &survey->model.segments[s];
		double load = 0;

		for (int from = 0; from < (int)survey->hosts; from++)
			for (int to = 0; to < (int)survey->hosts; to++)
				if (link_crosses(segment, from, to) &&
				    survey_unsettled(survey, from, to))
					load += fmin(survey_room(survey, from, to) /
							     segment->bytes_per_s,
						     1);
		busiest = fmax(busiest, load);
	}
	for (int from = 0; from < (int)survey->hosts; from++)
		for (int to = 0; to < (int)survey->hosts; to++)
			all += survey_unsettled(survey, from, to);
	if (survey->taken == 0)
		all /= 2;
	return fmax(busiest, all / (double)survey->at_once) * 1.2;
}

static const struct stage stages[] = {
	{ survey_pings, rounds_steps, false },	     { survey_climb, few_steps, false },
	{ survey_rounds, flow_rounds_steps, false }, { survey_levels, few_steps, false },
	{ survey_segments, segments_steps, true },   { survey_nics, few_steps, true },
	{ survey_blocks, few_steps, true },	     { survey_search, search_steps, true },
	{ survey_settle, settle_steps, false },
};

static void suspect_groups(struct survey *survey)
{
	bool *members = xcalloc(survey->hosts, sizeof(*members));

	for (size_t host = 0; survey->groups && host < survey->hosts; host++) {
		const char *group = survey->groups[host];

		for (size_t other = 0; group && other < survey->hosts; other++) {
			const char *its = survey->groups[other];

			members[other] = its && strcmp(its, group) == 0;
		}
		if (group)
			survey_suspect(survey, members, SUSPECT_GUESSED);
	}
	free(members);
}

static void add_nics(struct survey *survey)
{
	bool *members = xcalloc(survey->hosts, sizeof(*members));

	for (size_t host = 0; host < survey->hosts; host++)
		for (enum survey_way way = 0; way < SURVEY_WAYS; way++) {
			const char *name = survey->links.names[host];
			char *full = xasprintf("%s.%s", name, way == SURVEY_UP ? "up" : "down");
			struct link_segment *nic =
				links_add_segment(&survey->model, full, INFINITY);

			for (size_t other = 0; other < survey->hosts; other++) {
				nic->from[other] = (other == host) == (way == SURVEY_UP);
				nic->to[other] = !nic->from[other];
			}
			free(full);
		}
	free(members);
}

struct survey *survey_new(const char *const *names, size_t hosts,
			  const struct survey_params *params)
{
	struct survey *survey = xcalloc(1, sizeof(*survey));

	survey->hosts = hosts;
	survey->params = *params;
	if (params->precision <= 0)
		survey->params.precision = 0.05;
	if (params->groups) {
		survey->groups = xcalloc(hosts, sizeof(*survey->groups));
		for (size_t i = 0; i < hosts; i++)
			if (params->groups[i])
				survey->groups[i] = xstrdup(params->groups[i]);
	}
	links_init(&survey->links, names, hosts);
	links_init(&survey->model, names, hosts);
	add_nics(survey);
	survey->measured = xcalloc(hosts * hosts, sizeof(*survey->measured));
	for (size_t i = 0; i < hosts * hosts; i++)
		survey->measured[i].best = survey->measured[i].hint = NAN;
	survey->silent = xcalloc(hosts, sizeof(*survey->silent));
	survey->at_once = hosts > 3 ? hosts / 2 : 1;
	if (params->concurrent && params->concurrent < survey->at_once)
		survey->at_once = params->concurrent;
	survey->ceiling = INFINITY;
	survey->slower = 1;
	survey_nics_init(survey);
	suspect_groups(survey);
	return survey;
}

/* Rates that were not read in peace, or not at all, as the model has them. */
static void infer_pairs(struct survey *survey)
{
	for (int from = 0; from < (int)survey->hosts; from++)
		for (int to = 0; to < (int)survey->hosts; to++) {
			struct link_pair *pair = links_pair(&survey->links, from, to);
			double rate = fmin(links_pair(&survey->model, from, to)->bytes_per_s,
					   survey_room(survey, from, to));

			if (survey_works(survey, from, to) && rate < 1e15 &&
			    !survey_measured(survey, from, to)->settled)
				pair->bytes_per_s = rate;
		}
}

/* What the model knows of segments becomes known. */
static void finish(struct survey *survey)
{
	survey->ended = true;
	infer_pairs(survey);
	for (size_t i = 0; i < survey->model.segment_count; i++) {
		const struct link_segment *found = &survey->model.segments[i];
		struct link_segment *segment;

		if (!isfinite(found->bytes_per_s) ||
		    (survey->params.pairs_only && i >= 2 * survey->hosts))
			continue;
		segment = links_add_segment(&survey->links, found->name, found->bytes_per_s);
		segment->spread = found->spread;
		memcpy(segment->from, found->from, survey->hosts * sizeof(bool));
		memcpy(segment->to, found->to, survey->hosts * sizeof(bool));
	}
}

static void plan(struct survey *survey)
{
	while (survey->stage < ARRAY_SIZE(stages) && survey->taken == survey->trial_count) {
		const struct stage *stage = &stages[survey->stage];
		size_t first = survey->trial_count;

		survey_model(survey);
		if (!(stage->contends && survey->params.pairs_only) &&
		    !survey_time_is_up(survey, 1) && stage->plan(survey)) {
			survey->batch = first;
			continue;
		}
		if (survey->stage == 3 && survey->params.pairs_only)
			survey_assume_segments(survey);
		if (stage->contends)
			survey_refine(survey);
		survey->stage++;
		survey->passes = 0;
	}
}

bool survey_next(struct survey *survey, struct survey_step *step)
{
	if (survey->taken == survey->trial_count)
		plan(survey);
	if (survey->taken < survey->trial_count && !survey_is_over(survey)) {
		*step = survey->trials[survey->taken].step;
		return true;
	}
	if (!survey->ended) {
		survey_model(survey);
		finish(survey);
	}
	return false;
}

void survey_take(struct survey *survey, const struct survey_result *results)
{
	assert(survey->taken < survey->trial_count);
	survey_note(survey, &survey->trials[survey->taken], results);
	survey->done_s += survey->trials[survey->taken].cost_s;
	survey->guessed_s += survey->trials[survey->taken].cost_s;
	survey->taken++;
}

void survey_clock(struct survey *survey, double seconds, double bytes)
{
	survey->spent_s = survey->done_s = seconds;
	survey->spent_bytes = bytes;
	survey->slower = seconds / survey->guessed_s;
	for (size_t t = survey->taken; t < survey->trial_count; t++)
		survey->spent_s += survey->trials[t].cost_s * survey->slower;
}

const struct links *survey_links(const struct survey *survey)
{
	return &survey->links;
}

struct survey_cost survey_cost(const struct survey *survey, double bytes_per_s, double rtt_s)
{
	double hosts = (double)survey->hosts, steps = 0, longest = survey->params.seconds;
	struct survey_step flows = { .kind = SURVEY_FLOWS,
				     .seconds = survey_window(bytes_per_s, rtt_s) };
	double each = survey_step_cost(&flows, rtt_s);
	struct survey_cost cost = { 0 };

	for (size_t i = 1; i < ARRAY_SIZE(stages); i++)
		if (!(stages[i].contends && survey->params.pairs_only))
			steps += stages[i].steps(survey);
	if (survey->hosts < 2)
		steps = 0;
	cost.seconds =
		rounds_steps(survey) * (0.04 + (isfinite(rtt_s) ? 10 * rtt_s : 0)) + steps * each;
	if (longest > 0 && cost.seconds > longest) {
		steps *= longest / cost.seconds;
		cost.seconds = longest;
	}
	cost.steps = (size_t)(steps + rounds_steps(survey));
	cost.flows = (size_t)(steps * 0.7 * fmin(hosts, (double)survey->at_once));
	cost.bytes = (double)cost.flows * flows.seconds * 2 * bytes_per_s;
	if (survey->params.bytes > 0)
		cost.bytes = fmin(cost.bytes, survey->params.bytes);
	return cost;
}

double survey_left(const struct survey *survey)
{
	double left = 0, each = 0.09;

	for (size_t t = survey->taken; t < survey->trial_count; t++)
		left += survey->trials[t].cost_s;
	if (survey->taken > 0)
		each = survey->done_s / (double)survey->taken;
	for (size_t i = survey->stage + 1; i < ARRAY_SIZE(stages); i++)
		if (!(stages[i].contends && survey->params.pairs_only))
			left += each * stages[i].steps(survey);
	if (survey->params.seconds > 0)
		left = fmin(left, fmax(survey->params.seconds - survey->done_s, 0));
	return survey->ended ? 0 : left;
}

void survey_free(struct survey *survey)
{
	if (!survey)
		return;
	for (size_t i = 0; i < survey->trial_count; i++) {
		free(survey->trials[i].step.flows);
		free(survey->trials[i].rates);
	}
	for (size_t i = 0; i < survey->hosts * survey->hosts; i++)
		free(survey->measured[i].readings);
	for (size_t i = 0; i < survey->suspect_count; i++)
		free(survey->suspects[i].members);
	for (size_t i = 0; survey->groups && i < survey->hosts; i++)
		free(survey->groups[i]);
	free(survey->groups);
	free(survey->suspects);
	free(survey->trials);
	free(survey->measured);
	free(survey->silent);
	free(survey->levels.cluster);
	free(survey->levels.doubtful);
	free(survey->levels.up);
	free(survey->levels.down);
	free(survey->search.flows);
	free(survey->search.candidates);
	free(survey->search.members);
	survey_nics_release(survey);
	flow_net_free(survey->net);
	links_release(&survey->links);
	links_release(&survey->model);
	free(survey);
}
