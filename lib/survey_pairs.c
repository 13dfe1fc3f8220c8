/* What a survey has read of each pair, and what follows from it for the pair and for both NICs. */
#include <math.h>
#include <stdlib.h>

#include "lib/flow.h"
#include "lib/memory.h"
#include "lib/survey_inside.h"

enum { TRIES = 2, SILENT = 6 }; /* failures after which a pair, or a host, is given up */
#define CROWD 1.05		/* of a segment may be asked for: nobody loses anything then */
#define AGREE 0.05		/* parts by which readings of the same rate differ */

struct measured *survey_measured(const struct survey *survey, int from, int to)
{
	return &survey->measured[(size_t)from * survey->hosts + (size_t)to];
}

bool survey_alive(const struct survey *survey, int host)
{
	return survey->silent[host] < SILENT;
}

bool survey_works(const struct survey *survey, int from, int to)
{
	return from != to && survey_alive(survey, from) && survey_alive(survey, to) &&
	       survey_measured(survey, from, to)->failures < TRIES;
}

bool survey_unsettled(const struct survey *survey, int from, int to)
{
	const struct measured *measured = survey_measured(survey, from, to);
	double spread = links_pair(&survey->links, from, to)->spread;

	return survey_works(survey, from, to) &&
	       (survey->hosts <= SURVEY_LARGE || measured->count > 0) &&
	       !(measured->settled && spread <= survey->params.precision);
}

static void note_ping(struct survey *survey, const struct survey_flow *flow,
		      const struct survey_result *result)
{
	int ways[2][2] = { { flow->from, flow->to }, { flow->to, flow->from } };

	for (int i = 0; i < 2 && isfinite(result->rtt_s); i++) {
		struct link_pair *pair = links_pair(&survey->links, ways[i][0], ways[i][1]);

		pair->rtt_s = result->rtt_s;
		pair->rtt_min_s = result->rtt_min_s;
	}
}

static void note_flow(struct survey *survey, const struct survey_flow *flow,
		      const struct survey_result *result)
{
	struct measured *measured = survey_measured(survey, flow->from, flow->to);
	struct reading *reading;

	measured->readings = xgrow(measured->readings, measured->count, sizeof(*reading));
	reading = &measured->readings[measured->count++];
	*reading = (struct reading){ result->bytes_per_s, result->spread, survey->taken };
	measured->failures = 0;
	measured->best = fmax(measured->best, result->bytes_per_s);
	if (!measured->settled)
		links_pair(&survey->links, flow->from, flow->to)->bytes_per_s = measured->best;
}

static bool worked(enum survey_kind kind, const struct survey_result *result)
{
	if (kind == SURVEY_PING)
		return isfinite(result->rtt_s);
	return isfinite(result->bytes_per_s) && result->bytes_per_s > 0;
}

void survey_note(struct survey *survey, const struct trial *trial,
		 const struct survey_result *results)
{
	for (size_t i = 0; i < trial->step.count; i++) {
		const struct survey_flow *flow = &trial->step.flows[i];

		trial->rates[i] = NAN;
		if (!worked(trial->step.kind, &results[i])) {
			survey->silent[flow->from]++;
			survey->silent[flow->to]++;
			survey_measured(survey, flow->from, flow->to)->failures++;
			continue;
		}
		survey->silent[flow->from] = survey->silent[flow->to] = 0;
		if (trial->step.kind == SURVEY_PING) {
			note_ping(survey, flow, &results[i]);
			continue;
		}
		trial->rates[i] = results[i].bytes_per_s;
		survey->spent_bytes += trial->rates[i] * trial->step.seconds * 2;
		note_flow(survey, flow, &results[i]);
	}
}

static int falling(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

/* The middle of the readings that are about the highest: the highest alone is so by its noise. */
double survey_plateau(double *rates, size_t count)
{
	size_t top = 0;

	if (count == 0)
		return NAN;
	qsort(rates, count, sizeof(*rates), falling);
	while (top < count && rates[top] >= rates[0] * 0.88)
		top++;
	return (rates[(top - 1) / 2] + rates[top / 2]) / 2;
}

/* The most that a host does over one flow. */
static double most_alone(const struct survey *survey, int host, enum survey_way way, double *spread)
{
	double *rates = xcalloc(survey->hosts, sizeof(*rates)), most;
	size_t count = 0;

	for (int other = 0; other < (int)survey->hosts; other++) {
		int from = way == SURVEY_UP ? host : other, to = way == SURVEY_UP ? other : host;
		const struct measured *measured = survey_measured(survey, from, to);

		if (measured->count > 0)
			rates[count++] = measured->settled
						 ? links_pair(&survey->links, from, to)->bytes_per_s
						 : measured->best;
	}
	most = survey_plateau(rates, count);
	*spread = survey_interval(survey, rates, count, most);
	free(rates);
	return most;
}

double survey_nic(const struct survey *survey, int host, enum survey_way way)
{
	return survey->model.segments[2 * host + way].bytes_per_s;
}

static void model_nic(struct survey *survey, int host, enum survey_way way)
{
	struct link_segment *nic = &survey->model.segments[2 * host + way];
	double spread, alone = most_alone(survey, host, way, &spread);
	double several = survey->nics.most[way][host];

	nic->bytes_per_s = INFINITY;
	nic->spread = spread;
	if (!survey->nics.boundless[way][host] && isfinite(alone))
		nic->bytes_per_s = several > 1.1 * alone ? several : alone;
}

double survey_room(const struct survey *survey, int from, int to)
{
	double room =
		fmin(survey_nic(survey, from, SURVEY_UP), survey_nic(survey, to, SURVEY_DOWN));

	for (size_t i = 2 * survey->hosts; i < survey->model.segment_count; i++)
		if (link_crosses(&survey->model.segments[i], from, to))
			room = fmin(room, survey->model.segments[i].bytes_per_s);
	return room;
}

/* What they ask for of a segment, each of them as much as it could get. */
static bool overfull(const struct survey *survey, const struct link_segment *segment,
		     const struct survey_flow *flows, size_t count)
{
	double asked = 0;
	size_t crossing = 0;

	for (size_t i = 0; i < count; i++) {
		if (!link_crosses(segment, flows[i].from, flows[i].to))
			continue;
		asked += survey_room(survey, flows[i].from, flows[i].to);
		crossing++;
	}
	return crossing > 1 && asked > CROWD * segment->bytes_per_s;
}

bool survey_crowded(const struct survey *survey, const struct survey_flow *flows, size_t count,
		    size_t flow, size_t but)
{
	const struct links *model = &survey->model;

	for (size_t i = 0; i < count; i++)
		if (i != flow &&
		    (flows[i].from == flows[flow].from || flows[i].to == flows[flow].to))
			return true;
	for (size_t i = 2 * survey->hosts; i < model->segment_count; i++)
		if (i != but &&
		    link_crosses(&model->segments[i], flows[flow].from, flows[flow].to) &&
		    overfull(survey, &model->segments[i], flows, count))
			return true;
	return false;
}

static bool was_crowded(const struct survey *survey, const struct reading *reading, int from,
			int to)
{
	const struct trial *trial = &survey->trials[reading->trial];
	size_t i = 0;

	if (trial->step.count > survey->at_once &&
	    reading->bytes_per_s < SURVEY_FULL * survey_room(survey, from, to))
		return true;
	while (trial->step.flows[i].from != from || trial->step.flows[i].to != to)
		i++;
	return survey_crowded(survey, trial->step.flows, trial->step.count, i, SURVEY_NONE);
}

/* No pair does more than the least of the segments on its way may do. */
static double most_room(const struct survey *survey, int from, int to)
{
	double most = INFINITY;

	for (size_t i = 0; i < survey->model.segment_count; i++) {
		const struct link_segment *segment = &survey->model.segments[i];
		double spread = isfinite(segment->spread) ? segment->spread : 0.05;

		if (link_crosses(segment, (size_t)from, (size_t)to))
			most = fmin(most, segment->bytes_per_s * (1 + spread));
	}
	return most;
}

/* Readings that agree, as many as are needed: one if the way is known to do no more, and three if
 * not; of many hosts two, unless its neighbours do more. */
static bool agree(const struct survey *survey, int from, int to, const double *rates, size_t count,
		  double rate)
{
	double hint = survey_measured(survey, from, to)->hint;
	size_t agreeing = 0, needed = 3;

	for (size_t i = 0; i < count; i++)
		agreeing += fabs(rates[i] - rate) <= AGREE * rate;
	if (survey->hosts > SURVEY_LARGE && !(rate < SURVEY_FULL * hint))
		needed = 2;
	if (rate >= (1 - AGREE) * survey_room(survey, from, to))
		needed = 1;
	return agreeing >= needed;
}

/*
 * Of its readings that nobody else took part of, the middle of the high ones: low ones among them
 * were hit by something else. While they do not agree it may do as much as its way allows.
 */
static bool judge_alone(const struct survey *survey, int from, int to, double *rate, double *spread)
{
	const struct measured *measured = survey_measured(survey, from, to);
	double *rates = xcalloc(measured->count + 1, sizeof(*rates)), half, most;
	size_t count = 0;
	bool known;

	for (unsigned i = 0; i < measured->count; i++)
		if (!was_crowded(survey, &measured->readings[i], from, to))
			rates[count++] = measured->readings[i].bytes_per_s;
	*rate = survey_plateau(rates, count);
	*spread = NAN;
	known = count > 0 && agree(survey, from, to, rates, count, *rate);
	if (count > 0) {
		half = survey_interval(survey, rates, count, *rate);
		most = fmax(most_room(survey, from, to), *rate);
		if (known)
			most = fmin(most, *rate * (1 + half));
		*spread = (most / *rate - (1 - half)) / 2;
	}
	free(rates);
	*rate = fmin(*rate, 1.02 * survey_room(survey, from, to)); /* more is noise */
	return known;
}

/* What a pair is taken to do while it has not been read in peace. */
static double assumed(const struct survey *survey, int from, int to)
{
	const struct measured *measured = survey_measured(survey, from, to);
	double rate = fmax(measured->best, measured->hint);

	if (isnan(rate))
		rate = fmin(survey_nic(survey, from, SURVEY_UP),
			    survey_nic(survey, to, SURVEY_DOWN));
	return isfinite(rate) ? rate : 1e15;
}

/* Of many hosts, most pairs have nothing new to be judged by. */
static bool up_to_date(const struct survey *survey, const struct measured *measured)
{
	return survey->hosts > SURVEY_LARGE && measured->judged == measured->count &&
	       measured->version == survey->version;
}

static void model_pair(struct survey *survey, int from, int to)
{
	struct link_pair *model = links_pair(&survey->model, from, to);
	struct link_pair *known = links_pair(&survey->links, from, to);
	struct measured *measured = survey_measured(survey, from, to);
	double spread, alone;

	if (measured->count == 0)
		model->bytes_per_s = assumed(survey, from, to);
	if (measured->count == 0 || up_to_date(survey, measured))
		return;
	measured->judged = measured->count;
	measured->version = survey->version;
	measured->settled = judge_alone(survey, from, to, &alone, &spread);
	model->bytes_per_s = measured->settled ? alone : assumed(survey, from, to);
	known->bytes_per_s = measured->settled ? alone : measured->best;
	known->spread = spread;
}

void survey_model(struct survey *survey)
{
	for (int host = 0; host < (int)survey->hosts; host++)
		for (enum survey_way way = 0; way < SURVEY_WAYS; way++)
			model_nic(survey, host, way);
	for (int from = 0; from < (int)survey->hosts; from++)
		for (int to = 0; to < (int)survey->hosts; to++)
			if (from != to)
				model_pair(survey, from, to);
	survey_note_noise(survey);
}

void survey_remodel(struct survey *survey)
{
	flow_net_free(survey->net);
	survey->net = NULL;
	survey->version++;
}
