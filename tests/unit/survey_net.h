/*
 * A network of which everything is known, to be surveyed: hosts on a tree of racks, flows that
 * share unfairly, readings with noise and now and then one that something else has hit.
 */
#ifndef DSTRAIN_TESTS_UNIT_SURVEY_NET_H
#define DSTRAIN_TESTS_UNIT_SURVEY_NET_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/links.h"
#include "lib/memory.h"
#include "lib/survey.h"
#include "runtime/rng.h"

#define NET_MBIT 125000.0

struct net_sim {
	struct links truth; /* pairs: what each could do if nothing was shared */
	struct rng rng;
	uint64_t drawn;
	double noise, outliers; /* part of a reading; how often one is hit */
	double low;		/* part by which all readings are less */
	double unfair;		/* standard deviation of the logarithm of a flow's share */
	double all;		/* bytes per second of all flows at once: the machine's own limit */
	double overhead_s;	/* of a step */
	bool *dead;		/* [hosts] */
	size_t steps, flows, most_at_once;
	double seconds, bytes;
};

static inline double net_uniform(struct net_sim *net)
{
	return rng_uniform(&net->rng, net->drawn++);
}

static inline double net_normal(struct net_sim *net)
{
	return rng_normal(&net->rng, net->drawn++);
}

static inline void net_init(struct net_sim *net, size_t hosts, uint64_t seed)
{
	char **names = xcalloc(hosts, sizeof(*names));

	*net = (struct net_sim){ .rng = rng_make(seed, RNG_DATA, hosts, 0),
				 .noise = 0.025,
				 .outliers = 0.005,
				 .unfair = 0.8,
				 .all = INFINITY,
				 .overhead_s = 0.09 };
	for (size_t i = 0; i < hosts; i++)
		names[i] = xasprintf("h%zu", i + 1);
	links_init(&net->truth, (const char *const *)names, hosts);
	for (size_t i = 0; i < hosts * hosts; i++)
		net->truth.pairs[i] = (struct link_pair){ 2e-4, 1e-4, INFINITY, 0 };
	for (size_t i = 0; i < hosts; i++)
		free(names[i]);
	free(names);
	net->dead = xcalloc(hosts, sizeof(*net->dead));
}

static inline void net_release(struct net_sim *net)
{
	links_release(&net->truth);
	free(net->dead);
}

/* One way out of, or into, the hosts whose `rack` is this one. */
static inline void net_segment(struct net_sim *net, const char *name, const int *rack, int number,
			       bool up, double bytes_per_s)
{
	struct link_segment *segment = links_add_segment(&net->truth, name, bytes_per_s);

	for (size_t i = 0; i < net->truth.hosts; i++) {
		segment->from[i] = (rack[i] == number) == up;
		segment->to[i] = !segment->from[i];
	}
}

static inline void net_rack(struct net_sim *net, const int *rack, int number, double up,
			    double down)
{
	char *name = xasprintf("rack%d", number);

	net_segment(net, name, rack, number, true, up);
	net_segment(net, name, rack, number, false, down);
	free(name);
}

static inline void net_nics(struct net_sim *net, const double *up, const double *down)
{
	int *self = xcalloc(net->truth.hosts, sizeof(*self));

	for (size_t i = 0; i < net->truth.hosts; i++)
		self[i] = (int)i;
	for (size_t i = 0; i < net->truth.hosts; i++) {
		net_segment(net, "nic", self, (int)i, true, up[i]);
		net_segment(net, "nic", self, (int)i, false, down[i]);
	}
	free(self);
}

/* What is left of a segment, and the weights that want some of it. */
struct net_share {
	double left, weight;
};

/* The segments that a flow crosses; the last one is the machine's own limit. */
struct net_way {
	size_t segments[16], count;
	double own, weight, *rate;
	bool done;
};

static inline struct net_way net_way(const struct net_sim *net, const struct survey_flow *flow)
{
	size_t from = (size_t)flow->from, to = (size_t)flow->to;
	struct net_way way = { .own = links_pair(&net->truth, from, to)->bytes_per_s };

	for (size_t s = 0; s < net->truth.segment_count; s++)
		if (link_crosses(&net->truth.segments[s], from, to))
			way.segments[way.count++] = s;
	way.segments[way.count++] = net->truth.segment_count;
	return way;
}

/* The least share, by weight, that any segment has left. */
static inline double net_tightest(const struct net_sim *net, const struct net_way *ways,
				  size_t count, struct net_share *shares, size_t *tight)
{
	size_t segments = net->truth.segment_count + 1;
	double least = INFINITY;

	for (size_t s = 0; s < segments; s++)
		shares[s] = (struct net_share){
			s + 1 < segments ? net->truth.segments[s].bytes_per_s : net->all, 0
		};
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < ways[i].count; j++)
			if (ways[i].done)
				shares[ways[i].segments[j]].left -= *ways[i].rate;
			else
				shares[ways[i].segments[j]].weight += ways[i].weight;
	for (size_t s = 0; s < segments; s++)
		if (shares[s].weight > 0 && fmax(shares[s].left, 0) / shares[s].weight < least) {
			least = fmax(shares[s].left, 0) / shares[s].weight;
			*tight = s;
		}
	return least;
}

static inline bool net_way_crosses(const struct net_way *way, size_t s)
{
	for (size_t j = 0; j < way->count; j++)
		if (way->segments[j] == s)
			return true;
	return false;
}

/* Weighted max-min by progressive filling. */
static inline void net_rates(const struct net_sim *net, const struct survey_flow *flows,
			     size_t count, const double *weights, double *rates)
{
	struct net_share *shares = xcalloc(net->truth.segment_count + 1, sizeof(*shares));
	struct net_way *ways = xcalloc(count + 1, sizeof(*ways));
	size_t left = count;

	for (size_t i = 0; i < count; i++) {
		ways[i] = net_way(net, &flows[i]);
		ways[i].weight = weights[i];
		ways[i].rate = &rates[i];
	}
	while (left > 0) {
		size_t tight = 0, was = left;
		double least = net_tightest(net, ways, count, shares, &tight);

		for (size_t i = 0; i < count; i++)
			if (!ways[i].done && ways[i].own <= least * weights[i]) {
				rates[i] = ways[i].own;
				ways[i].done = true;
				left--;
			}
		for (size_t i = 0; was == left && i < count; i++)
			if (!ways[i].done && net_way_crosses(&ways[i], tight)) {
				rates[i] = least * weights[i];
				ways[i].done = true;
				left--;
			}
		assert_true(left < was);
	}
	free(shares);
	free(ways);
}

static inline void net_measure(struct net_sim *net, const struct survey_step *step,
			       struct survey_result *results)
{
	double *weights = xcalloc(step->count, sizeof(*weights));
	double *rates = xcalloc(step->count, sizeof(*rates)), rtt = 0;

	for (size_t i = 0; i < step->count; i++)
		weights[i] = exp(net->unfair * net_normal(net));
	if (step->kind == SURVEY_FLOWS)
		net_rates(net, step->flows, step->count, weights, rates);
	for (size_t i = 0; i < step->count; i++) {
		size_t from = (size_t)step->flows[i].from, to = (size_t)step->flows[i].to;
		const struct link_pair *pair = links_pair(&net->truth, from, to);
		double noise = 1 + net->noise * net_normal(net);

		rtt = fmax(rtt, pair->rtt_s);
		if (net_uniform(net) < net->outliers)
			noise *= 0.5 + 0.3 * net_uniform(net);
		results[i] = (struct survey_result){ pair->rtt_s * (1 + 0.1 * net_uniform(net)),
						     pair->rtt_s, rates[i] * noise * (1 - net->low),
						     0.03 };
		if (net->dead[from] || net->dead[to])
			results[i] = (struct survey_result){ NAN, NAN, NAN, NAN };
	}
	for (size_t i = 0; i < step->count; i++)
		net->bytes += step->kind == SURVEY_FLOWS ? rates[i] * (step->seconds + 0.05) : 0;
	net->steps++;
	net->flows += step->count;
	net->most_at_once = step->count > net->most_at_once ? step->count : net->most_at_once;
	net->seconds +=
		step->seconds + 10 * rtt + (step->kind == SURVEY_FLOWS ? net->overhead_s : 0.02);
	free(weights);
	free(rates);
}

/* A whole survey. Caller frees it. */
static inline struct survey *net_survey(struct net_sim *net, const struct survey_params *params)
{
	struct survey *survey =
		survey_new((const char *const *)net->truth.names, net->truth.hosts, params);
	struct survey_step step;

	while (survey_next(survey, &step)) {
		struct survey_result *results = xcalloc(step.count, sizeof(*results));

		net_measure(net, &step, results);
		survey_take(survey, results);
		survey_clock(survey, net->seconds, net->bytes);
		free(results);
	}
	return survey;
}

/* The sum that flows do, fairly and without noise, with segment `without` as wide as can be. */
static inline double net_sum(struct net_sim *net, const struct survey_flow *flows, size_t count,
			     size_t without)
{
	double *weights = xcalloc(count, sizeof(*weights)), *rates = xcalloc(count, sizeof(*rates));
	double sum = 0, all = net->all, before = INFINITY;

	if (without < net->truth.segment_count) {
		before = net->truth.segments[without].bytes_per_s;
		net->truth.segments[without].bytes_per_s = INFINITY;
	}
	net->all = INFINITY;
	for (size_t i = 0; i < count; i++)
		weights[i] = 1;
	net_rates(net, flows, count, weights, rates);
	for (size_t i = 0; i < count; i++)
		sum += rates[i];
	if (without < net->truth.segment_count)
		net->truth.segments[without].bytes_per_s = before;
	net->all = all;
	free(weights);
	free(rates);
	return sum;
}

static inline bool net_same(const struct link_segment *a, const struct link_segment *b,
			    size_t hosts)
{
	for (size_t from = 0; from < hosts; from++)
		for (size_t to = 0; to < hosts; to++)
			if (link_crosses(a, from, to) != link_crosses(b, from, to))
				return false;
	return true;
}

/* Everything that crosses a segment, at once. */
static inline double net_demand(struct net_sim *net, size_t s)
{
	size_t hosts = net->truth.hosts, count = 0;
	struct survey_flow *flows = xcalloc(hosts * hosts, sizeof(*flows));
	double sum;

	for (size_t from = 0; from < hosts; from++)
		for (size_t to = 0; to < hosts; to++)
			if (link_crosses(&net->truth.segments[s], from, to))
				flows[count++] = (struct survey_flow){ (int)from, (int)to };
	sum = net_sum(net, flows, count, s);
	free(flows);
	return sum;
}

#endif
