/*
 * Predicted seconds of collectives on links that all groups share. A collective is a sequence of
 * stages; in a stage all groups send at once, and the flow model says when each is through.
 */
#include "lib/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/flow.h"
#include "lib/links.h"
#include "lib/memory.h"

/*
 * A rank's own work for a message: waking up, system calls, sealing. Measured: 16 us a round where
 * each of two ranks has a processor (`dstrain bench allreduce --hosts local:2 -b 4096 -e 4096 --set
 * transport.shared_memory=no --set sync.allreduce=ring`), several times that where they share one.
 */
static const double MESSAGE_S = 30e-6;

/* All that is under way at the same time. */
struct stage {
	struct flow_hop *hops;
	struct flow *flows;
	int *group; /* that a flow belongs to */
	double *finish;
	size_t hop_count, count;
};

/* What `groups` took in the stages so far. */
struct total {
	const struct cost_env *env;
	int groups;
	struct stage stage;
	double *seconds, *latency;	       /* [groups] */
	double *stage_seconds, *stage_latency; /* [groups] of this stage */
	double longest_s;		       /* stage so far */
	struct cost cost;
};

/* `hops` of one stage at most. */
static struct total total_new(const struct cost_env *env, int groups, int hops)
{
	size_t count = (size_t)groups, most = (size_t)hops;

	return (struct total){
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

static double hop_latency(const struct cost_env *env, struct flow_hop hop)
{
	const struct link_pair *pair = links_pair(env->links, hop.from, hop.to);
	double rtt = isnan(pair->rtt_s) ? pair->rtt_min_s : pair->rtt_s;

	return MESSAGE_S + (isnan(rtt) ? 0 : rtt / 2);
}

static struct flow_hop hop_between(const struct cost_env *env, int from, int to)
{
	return (struct flow_hop){ env->host_of[from], env->host_of[to] };
}

static struct flow *add_flow(struct total *total, int group, double bytes)
{
	struct stage *stage = &total->stage;
	struct flow *flow = &stage->flows[stage->count];

	stage->group[stage->count++] = group;
	*flow = (struct flow){ .hops = stage->hops + stage->hop_count,
			       .bytes = bytes,
			       .most = INFINITY };
	return flow;
}

static void add_hop(struct total *total, struct flow *flow, int from, int to)
{
	total->stage.hops[total->stage.hop_count++] = hop_between(total->env, from, to);
	flow->count++;
}

/* What holds a flow back: the segment and how many cross it, the slowest hop. */
static void explain(struct total *total, const struct flow *slow, int limit)
{
	const struct links *links = total->env->links;
	const struct stage *stage = &total->stage;
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

static void find_limit(struct total *total, size_t slowest)
{
	struct stage *stage = &total->stage;
	double *rates = xcalloc(stage->count, sizeof(*rates));
	int *limits = xcalloc(stage->count, sizeof(*limits));

	flow_rates(total->env->net, stage->flows, stage->count, rates, limits);
	explain(total, &stage->flows[slowest], limits[slowest]);
	free(rates);
	free(limits);
}

/* Runs what was added; the next stage is empty. */
static void run_stage(struct total *total)
{
	struct stage *stage = &total->stage;
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

static struct cost total_end(struct total *total, double bytes_sent)
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

static void wait_for(struct total *total, int group, double latency)
{
	total->stage_latency[group] = fmax(total->stage_latency[group], latency);
}

/*
 * A ring of s ranks in `passes` times s - 1 rounds. A slice travels from rank to rank, each of
 * which waits for it: the longest way is all hops so often, but for the shortest run of `passes`.
 */
static double ring_latency(const struct total *total, const struct flow *flow, int passes)
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

/* A ring in each group: of an allreduce (2 passes) or half of one. */
static void add_rings(struct total *total, const struct partition *rings, int passes, double bytes)
{
	const int *ranks = rings->ranks;

	PARTITION_GROUPS (rings, g, ranks) {
		int size = rings->sizes[g], of = g % total->groups; /* or all are of one */
		struct flow *flow;

		if (size == 1)
			continue;
		flow = add_flow(total, of, passes * (size - 1) * bytes / size);
		for (int i = 0; i < size; i++)
			add_hop(total, flow, ranks[i], ranks[(i + 1) % size]);
		wait_for(total, of, ring_latency(total, flow, passes));
	}
}

static int largest_group(const struct partition *partition)
{
	int largest = 1;

	for (int g = 0; g < partition->groups; g++)
		largest = partition->sizes[g] > largest ? partition->sizes[g] : largest;
	return largest;
}

struct cost cost_ring(const struct cost_env *env, const struct partition *partition)
{
	struct total total = total_new(env, partition->groups, env->world);
	int size = largest_group(partition);

	add_rings(&total, partition, 2, env->bytes);
	run_stage(&total);
	return total_end(&total, 2.0 * (size - 1) / size * env->bytes);
}

void cost_ring_bytes(const struct cost_env *env, const struct partition *partition, double *seconds)
{
	struct cost_env brief = *env;
	struct total total;

	brief.brief = true;
	total = total_new(&brief, partition->groups, env->world);
	add_rings(&total, partition, 2, env->bytes);
	run_stage(&total);
	memcpy(seconds, total.seconds, (size_t)partition->groups * sizeof(*seconds));
	total_end(&total, 0);
}

/* The largest power of two that is not above n. */
static int power_below(int n)
{
	int power = 1;

	while (power <= n / 2)
		power *= 2;
	return power;
}

/* A message between two ranks of a group, alone on its way. */
static void add_message(struct total *total, int group, int from, int to, double bytes)
{
	struct flow *flow = add_flow(total, group, bytes);

	add_hop(total, flow, from, to);
	wait_for(total, group, hop_latency(total->env, *flow->hops));
}

/* The same round in each group; `add` adds the messages of one. */
typedef void add_round(struct total *total, int group, const int *ranks, int size, int distance);

static void run_round(struct total *total, const struct partition *partition, add_round *add,
		      int distance)
{
	const int *ranks = partition->ranks;

	PARTITION_GROUPS (partition, g, ranks)
		add(total, g, ranks, partition->sizes[g], distance);
	run_stage(total);
}

/* Ranks beyond the power of two hand all they have to a partner... */
static void fold(struct total *total, int group, const int *ranks, int size, int distance)
{
	int power = power_below(size);

	(void)distance;
	for (int i = power; i < size; i++)
		add_message(total, group, ranks[i], ranks[i - power], total->env->bytes);
}

/* ... and get the sum back. */
static void unfold(struct total *total, int group, const int *ranks, int size, int distance)
{
	int power = power_below(size);

	(void)distance;
	for (int i = power; i < size; i++)
		add_message(total, group, ranks[i - power], ranks[i], total->env->bytes);
}

static void exchange(struct total *total, int group, const int *ranks, int size, int distance)
{
	int power = power_below(size);

	for (int i = 0; i < power && distance < power; i++)
		add_message(total, group, ranks[i], ranks[i ^ distance],
			    total->env->bytes * distance / power);
}

struct cost cost_halving_doubling(const struct cost_env *env, const struct partition *partition)
{
	struct total total = total_new(env, partition->groups, env->world);
	int size = largest_group(partition), power = power_below(size);
	double folded = size > power ? env->bytes : 0;

	run_round(&total, partition, fold, 0);
	for (int distance = power / 2; distance > 0; distance /= 2)
		run_round(&total, partition, exchange, distance);
	for (int distance = 1; distance < power; distance *= 2)
		run_round(&total, partition, exchange, distance);
	run_round(&total, partition, unfold, 0);
	return total_end(&total, 2.0 * (power - 1) / power * env->bytes + folded);
}

/* Binomial: who has `bit` as its lowest one sends to the place without it. */
static void gather(struct total *total, int group, const int *ranks, int size, int bit)
{
	for (int i = bit; i < size; i += 2 * bit)
		add_message(total, group, ranks[i], ranks[i - bit], total->env->bytes);
}

static int ones(int number)
{
	int count = 0;

	for (; number > 0; number &= number - 1)
		count++;
	return count;
}

/* Who has the sum, `depth` ranks from the root, sends it to all its children at once. */
static void scatter(struct total *total, int group, const int *ranks, int size, int depth)
{
	for (int i = 1; i < size; i++)
		if (ones(i) == depth + 1)
			add_message(total, group, ranks[i & (i - 1)], ranks[i], total->env->bytes);
}

struct cost cost_tree(const struct cost_env *env, const struct partition *partition)
{
	struct total total = total_new(env, partition->groups, env->world);
	int size = largest_group(partition), children = 0;

	for (int bit = 1; bit < size; bit *= 2, children++)
		run_round(&total, partition, gather, bit);
	for (int depth = 0; (2 << depth) - 1 < size; depth++)
		run_round(&total, partition, scatter, depth);
	return total_end(&total, children * env->bytes); /* the root's */
}

/* Ring j: rank j of every group. Where a group is smaller, one of it serves more slices. */
static struct partition across(const struct partition *partition)
{
	int slices = largest_group(partition), groups = partition->groups;
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

struct cost cost_hierarchical(const struct cost_env *env, const struct partition *partition)
{
	int size = largest_group(partition), groups = partition->groups;
	struct partition rings = across(partition);
	struct total total = total_new(env, 1, size * groups);
	double slice = env->bytes / size;

	add_rings(&total, partition, 1, env->bytes);
	run_stage(&total);
	add_rings(&total, &rings, 2, slice);
	run_stage(&total);
	add_rings(&total, partition, 1, env->bytes);
	run_stage(&total);
	partition_release(&rings);
	return total_end(&total, 2 * (size - 1) * slice + 2.0 * (groups - 1) / groups * slice);
}
