/*
 * A collective is a sequence of stages; in a stage all groups send at once, and the flow model says
 * when each is through.
 */
#include "lib/cost_stage.h"

#include <math.h>
#include <stdlib.h>

#include "lib/flow.h"
#include "lib/links.h"
#include "lib/memory.h"

/*
 * A rank's own work for a message: waking up, system calls, sealing. Measured: 16 us a round where
 * each of two ranks has a processor (`dstrain bench allreduce --hosts local:2 -b 4096 -e 4096 --set
 * transport.shared_memory=no --set sync.allreduce=ring`), several times that where they share one.
 */
static const double MESSAGE_S = 30e-6;

struct cost_total cost_total_new(const struct cost_env *env, int groups, int hops)
{
	size_t count = (size_t)groups, most = (size_t)hops;

	return (struct cost_total){
		.env = env,
		.groups = groups,
		.stage = { .hops = xcalloc(most, sizeof(struct flow_hop)),
			   .flows = xcalloc(most, sizeof(struct flow)),
			   .group = xcalloc(most, sizeof(int)),
			   .finish = xcalloc(most, sizeof(double)) },
		.seconds = xcalloc(count, sizeof(double)),
		.latency = xcalloc(count, sizeof(double)),
		.stage_seconds = xcalloc(count, sizeof(double)),
		.stage_latency = xcalloc(count, sizeof(double)),
		.cost = { .limit = FLOW_BY_MOST },
	};
}

double cost_latency(const struct cost_env *env, int from, int to)
{
	const struct link_pair *pair = links_pair(env->links, from, to);
	double rtt = isnan(pair->rtt_s) ? pair->rtt_min_s : pair->rtt_s;

	return MESSAGE_S + (isnan(rtt) ? 0 : rtt / 2);
}

static double hop_latency(const struct cost_env *env, struct flow_hop hop)
{
	return cost_latency(env, hop.from, hop.to);
}

static struct flow_hop hop_between(const struct cost_env *env, int from, int to)
{
	return (struct flow_hop){ env->host_of[from], env->host_of[to] };
}

static struct flow *add_flow(struct cost_total *total, int group, double bytes)
{
	struct cost_stage *stage = &total->stage;
	struct flow *flow = &stage->flows[stage->count];

	stage->group[stage->count++] = group;
	*flow = (struct flow){ .hops = stage->hops + stage->hop_count,
			       .bytes = bytes,
			       .most = INFINITY };
	return flow;
}

static void add_hop(struct cost_total *total, struct flow *flow, int from, int to)
{
	total->stage.hops[total->stage.hop_count++] = hop_between(total->env, from, to);
	flow->count++;
}

/* What holds a flow back: the segment and how many cross it, the slowest hop. */
static void explain(struct cost_total *total, const struct flow *slow, int limit)
{
	const struct links *links = total->env->links;
	const struct cost_stage *stage = &total->stage;
	struct cost *cost = &total->cost;
	double slowest = INFINITY;

	cost->limit = limit;
	cost->crossing = 0;
	for (size_t i = 0; i < stage->hop_count && limit >= 0; i++)
		cost->crossing += link_crosses(&links->segments[limit], stage->hops[i].from,
					       stage->hops[i].to);
	for (size_t i = 0; i < slow->count; i++) {
		double rate = links_rate(links, slow->hops[i].from, slow->hops[i].to);

		if (i > 0 && !(rate < slowest))
			continue;
		slowest = isnan(rate) ? INFINITY : rate;
		cost->from = slow->hops[i].from;
		cost->to = slow->hops[i].to;
	}
}

static void find_limit(struct cost_total *total, size_t slowest)
{
	struct cost_stage *stage = &total->stage;
	double *rates = xcalloc(stage->count, sizeof(*rates));
	int *limits = xcalloc(stage->count, sizeof(*limits));

	flow_rates(total->env->net, stage->flows, stage->count, rates, limits);
	explain(total, &stage->flows[slowest], limits[slowest]);
	free(rates);
	free(limits);
}

void cost_run_stage(struct cost_total *total)
{
	struct cost_stage *stage = &total->stage;
	size_t slowest = 0;
	double longest;

	longest = flow_finish(total->env->net, stage->flows, stage->count, stage->finish);
	for (size_t f = 0; f < stage->count; f++) {
		double *of_group = &total->stage_seconds[stage->group[f]];

		*of_group = fmax(*of_group, stage->finish[f]);
		if (stage->finish[f] > stage->finish[slowest])
			slowest = f;
	}
	if (longest > total->longest_s && !total->env->brief)
		find_limit(total, slowest);
	total->longest_s = fmax(total->longest_s, longest);
	for (int g = 0; g < total->groups; g++) {
		total->seconds[g] += total->stage_seconds[g];
		total->latency[g] += total->stage_latency[g];
		total->stage_seconds[g] = total->stage_latency[g] = 0;
	}
	stage->count = stage->hop_count = 0;
}

struct cost cost_total_end(struct cost_total *total, double bytes_sent)
{
	struct cost cost = total->cost;

	for (int g = 0; g < total->groups; g++) {
		double seconds = total->seconds[g] + total->latency[g];

		if (g > 0 && seconds <= cost.seconds)
			continue;
		cost.seconds = seconds;
		cost.latency_s = total->latency[g];
		cost.slowest = g;
	}
	cost.bytes_sent = bytes_sent;
	free(total->stage.hops);
	free(total->stage.flows);
	free(total->stage.group);
	free(total->stage.finish);
	free(total->seconds);
	free(total->latency);
	free(total->stage_seconds);
	free(total->stage_latency);
	return cost;
}

void cost_wait_for(struct cost_total *total, int group, double latency)
{
	total->stage_latency[group] = fmax(total->stage_latency[group], latency);
}

/*
 * A ring of s ranks in `passes` times s - 1 rounds. A slice travels from rank to rank, each of
 * which waits for it: the longest way is all hops so often, but for the shortest run of `passes`.
 */
static double ring_latency(const struct cost_total *total, const struct flow *flow, int passes)
{
	double sum = 0, least = INFINITY;

	for (size_t i = 0; i < flow->count; i++) {
		double run = 0;

		for (int j = 0; j < passes; j++)
			run += hop_latency(total->env, flow->hops[(i + j) % flow->count]);
		least = fmin(least, run);
		sum += run; /* each hop comes `passes` times */
	}
	return sum - least;
}

/* A ring whose hops carry so many bytes each. */
static void add_ring(struct cost_total *total, int group, const int *ranks, int size, int passes,
		     double bytes)
{
	struct flow *flow;

	if (size == 1)
		return;
	flow = add_flow(total, group, bytes);
	for (int i = 0; i < size; i++)
		add_hop(total, flow, ranks[i], ranks[(i + 1) % size]);
	cost_wait_for(total, group, ring_latency(total, flow, passes));
}

void cost_add_rings(struct cost_total *total, const struct partition *rings, int passes,
		    double bytes)
{
	const int *ranks = rings->ranks;

	PARTITION_GROUPS (rings, g, ranks) {
		int size = rings->sizes[g];

		add_ring(total, g % total->groups, ranks, size, passes,
			 passes * (size - 1) * bytes / size);
	}
}

void cost_add_gathers(struct cost_total *total, const struct partition *rings, double bytes)
{
	const int *ranks = rings->ranks;

	PARTITION_GROUPS (rings, g, ranks)
		add_ring(total, g % total->groups, ranks, rings->sizes[g], 1,
			 (rings->sizes[g] - 1) * bytes);
}

int cost_largest_group(const struct partition *partition)
{
	int largest = 1;

	for (int g = 0; g < partition->groups; g++)
		largest = partition->sizes[g] > largest ? partition->sizes[g] : largest;
	return largest;
}

void cost_add_message(struct cost_total *total, int group, int from, int to, double bytes)
{
	struct flow *flow = add_flow(total, group, bytes);

	add_hop(total, flow, from, to);
	cost_wait_for(total, group, hop_latency(total->env, *flow->hops));
}

struct partition cost_across_groups(const struct partition *partition)
{
	int slices = cost_largest_group(partition), groups = partition->groups;
	struct partition rings = { .ranks = xcalloc((size_t)slices * groups, sizeof(int)),
				   .sizes = xcalloc((size_t)slices, sizeof(int)),
				   .groups = slices };

	for (int j = 0; j < slices; j++) {
		const int *ranks = partition->ranks;

		rings.sizes[j] = groups;
		PARTITION_GROUPS (partition, g, ranks)
			rings.ranks[j * groups + g] = ranks[j % partition->sizes[g]];
	}
	return rings;
}
