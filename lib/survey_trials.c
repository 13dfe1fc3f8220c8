/* The steps of a survey: a queue, how long they take, and what is expected of flows at once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/flow.h"
#include "lib/memory.h"
#include "lib/survey_inside.h"

#define OVERHEAD_S 0.09 /* of a step: flows come up, and drain; ranks agree */
#define PING_S	   0.02

/* About as long as a flow takes to come up to speed. 3 % takes longer on a slow link, if in fewer
 * packets: 60 ms at 100 Mbit/s, 30 ms at 1 Gbit/s. */
double survey_window(double bytes_per_s, double rtt_s)
{
	double rate = isfinite(bytes_per_s) && bytes_per_s > 0 ? bytes_per_s : 6e6;
	double window = 0.06 * pow(12.5e6 / rate, 0.35);

	window = fmin(fmax(window, 0.03), 0.5);
	return isfinite(rtt_s) ? fmax(window, 4 * rtt_s) : window;
}

double survey_step_cost(const struct survey_step *step, double rtt_s)
{
	double trips = isfinite(rtt_s) ? 10 * rtt_s : 0;

	return (step->kind == SURVEY_PING ? PING_S : OVERHEAD_S) + trips + step->seconds;
}

static double slowest(const struct survey *survey, const struct trial *trial)
{
	double least = INFINITY;

	for (size_t i = 0; i < trial->step.count; i++) {
		const struct survey_flow *flow = &trial->step.flows[i];
		double rate = links_pair(&survey->model, flow->from, flow->to)->bytes_per_s;

		if (rate > 0)
			least = fmin(least, rate);
	}
	return least;
}

static double longest_trip(const struct survey *survey, const struct survey_step *step)
{
	double longest = 0;

	for (size_t i = 0; i < step->count; i++) {
		const struct survey_flow *flow = &step->flows[i];
		double rtt = links_pair(&survey->links, flow->from, flow->to)->rtt_s;

		if (rtt > longest)
			longest = rtt;
	}
	return longest;
}

size_t survey_add(struct survey *survey, enum survey_kind kind, const struct survey_flow *flows,
		  size_t count, const char *why)
{
	struct survey_flow *kept = xcalloc(count + 1, sizeof(*kept));
	struct trial *trial;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (survey_works(survey, flows[i].from, flows[i].to))
			kept[n++] = flows[i];
	if (n == 0) {
		free(kept);
		return 0;
	}
	survey->trials = xgrow(survey->trials, survey->trial_count, sizeof(*survey->trials));
	trial = &survey->trials[survey->trial_count++];
	*trial = (struct trial){ { kind, kept, n, 0.02, why }, xcalloc(n, sizeof(double)), 0 };
	if (kind == SURVEY_FLOWS)
		trial->step.seconds =
			survey_window(slowest(survey, trial), longest_trip(survey, &trial->step));
	trial->cost_s = survey_step_cost(&trial->step, longest_trip(survey, &trial->step));
	survey->spent_s += trial->cost_s * survey->slower;
	return n;
}

void survey_expect(struct survey *survey, const struct trial *trial, double *rates, int *limits)
{
	size_t count = trial->step.count;
	struct flow_hop *hops = xcalloc(count, sizeof(*hops));
	struct flow *flows = xcalloc(count, sizeof(*flows));

	for (size_t i = 0; i < count; i++) {
		hops[i] = (struct flow_hop){ trial->step.flows[i].from, trial->step.flows[i].to };
		flows[i] = (struct flow){ &hops[i], 1, 1, INFINITY };
		if (isnan(trial->rates[i]))
			flows[i].most = 0;
	}
	if (!survey->net)
		survey->net = flow_net_new(&survey->model);
	flow_rates(survey->net, flows, count, rates, limits);
	free(hops);
	free(flows);
}

struct sums survey_sums(struct survey *survey, const struct trial *trial)
{
	double *rates = xcalloc(trial->step.count, sizeof(*rates));
	struct sums sums = { 0 };

	survey_expect(survey, trial, rates, NULL);
	for (size_t i = 0; i < trial->step.count; i++) {
		if (isnan(trial->rates[i]))
			continue;
		sums.got += trial->rates[i];
		sums.expected += rates[i];
		sums.flows++;
	}
	free(rates);
	return sums;
}

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
uint64_t survey_draw(struct survey *survey, uint64_t bound)
{
	uint64_t z = ++survey->draws * 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return (z ^ z >> 31) % bound;
}

void survey_shuffle(struct survey *survey, int *items, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = survey_draw(survey, i);
		int item = items[i - 1];

		items[i - 1] = items[j];
		items[j] = item;
	}
}

int *survey_alive_hosts(struct survey *survey, size_t *count)
{
	int *hosts = xcalloc(survey->hosts, sizeof(*hosts));

	*count = 0;
	for (int host = 0; host < (int)survey->hosts; host++)
		if (survey_alive(survey, host))
			hosts[(*count)++] = host;
	survey_shuffle(survey, hosts, *count);
	return hosts;
}

bool survey_time_is_up(const struct survey *survey, double part)
{
	const struct survey_params *params = &survey->params;

	return (params->seconds > 0 && survey->spent_s >= part * params->seconds) ||
	       (params->bytes > 0 && survey->spent_bytes >= part * params->bytes);
}

/* The next step must fit, or half of it. */
bool survey_is_over(const struct survey *survey)
{
	const struct survey_params *params = &survey->params;
	double next = survey->trials[survey->taken].cost_s * survey->slower;

	return (params->seconds > 0 && survey->done_s + next / 2 >= params->seconds) ||
	       (params->bytes > 0 && survey->spent_bytes >= params->bytes);
}
