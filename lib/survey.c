/* A survey: its stages in turn, each asking for steps until it knows enough. */
#include "lib/survey.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/flow.h"
#include "lib/memory.h"
#include "lib/survey_inside.h"

typedef bool stage_plan(struct survey *survey);

static stage_plan *const stages[] = {
	survey_pings, survey_climb,  survey_rounds, survey_levels, survey_segments,
	survey_nics,  survey_blocks, survey_search, survey_settle,
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
	survey->at_once =
		params->concurrent && params->concurrent < hosts ? params->concurrent : hosts;
	survey->ceiling = INFINITY;
	survey_nics_init(survey);
	suspect_groups(survey);
	return survey;
}

/* What the model knows of segments becomes known. */
static void finish(struct survey *survey)
{
	survey->ended = true;
	for (size_t i = 0; i < survey->model.segment_count; i++) {
		const struct link_segment *found = &survey->model.segments[i];
		struct link_segment *segment;

		if (!isfinite(found->bytes_per_s))
			continue;
		segment = links_add_segment(&survey->links, found->name, found->bytes_per_s);
		memcpy(segment->from, found->from, survey->hosts * sizeof(bool));
		memcpy(segment->to, found->to, survey->hosts * sizeof(bool));
	}
}

static void plan(struct survey *survey)
{
	while (survey->stage < ARRAY_SIZE(stages) && survey->taken == survey->trial_count) {
		size_t first = survey->trial_count;

		survey_model(survey);
		if (!survey_time_is_up(survey, 1) && stages[survey->stage](survey)) {
			survey->batch = first;
			continue;
		}
		if (stages[survey->stage] != survey_pings)
			survey_refine(survey);
		survey->stage++;
		survey->passes = 0;
	}
}

bool survey_next(struct survey *survey, struct survey_step *step)
{
	if (survey->taken == survey->trial_count)
		plan(survey);
	if (survey->taken < survey->trial_count) {
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
	survey->taken++;
}

void survey_clock(struct survey *survey, double seconds)
{
	survey->spent_s = seconds;
}

const struct links *survey_links(const struct survey *survey)
{
	return &survey->links;
}

struct survey_cost survey_cost(const struct survey *survey, double bytes_per_s, double rtt_s)
{
	double hosts = (double)survey->hosts, window = survey_window(bytes_per_s, rtt_s);
	struct survey_step step = { .seconds = window };
	struct survey_cost cost = { .steps = (size_t)(3 * hosts),
				    .flows = (size_t)(2 * hosts * hosts) };

	cost.seconds = survey_step_cost(&step, rtt_s) * (double)cost.steps;
	cost.bytes = (double)cost.flows * window * 2 * bytes_per_s;
	return cost;
}

double survey_left(const struct survey *survey)
{
	double left = 0;

	for (size_t t = survey->taken; t < survey->trial_count; t++)
		left += survey_step_cost(&survey->trials[t].step, NAN);
	return left;
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
