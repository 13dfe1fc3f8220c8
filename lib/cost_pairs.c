/* From everybody to everybody: messages of a stage that are too many to be looked at one by one. */
#include "lib/cost_stage.h"

#include <math.h>
#include <stdlib.h>

#include "lib/links.h"
#include "lib/memory.h"

/* Flows over a segment if every member sends to every other of its group. */
static int crossing_of(const struct cost_env *env, const struct link_segment *segment,
		       const struct partition *groups, int *here)
{
	const int *ranks = groups->ranks;
	int flows = 0;

	PARTITION_GROUPS (groups, g, ranks) {
		int senders = 0, receivers = 0;

		for (int i = 0; i < groups->sizes[g]; i++) {
			int host = env->host_of[ranks[i]];
			bool both = segment->from[host] && segment->to[host];

			senders += segment->from[host];
			receivers += segment->to[host];
			here[host]++;
			flows -= both ? 2 * here[host] - 1 : 0; /* squares of here[] in the end */
		}
		flows += senders * receivers;
		for (int i = 0; i < groups->sizes[g]; i++)
			here[env->host_of[ranks[i]]] = 0;
	}
	return flows;
}

/* The first bytes of messages from all to all of a group, and the pair whose own rate is least. */
static double meet(struct cost_total *total, const struct partition *groups, struct cost *slowest)
{
	const struct cost_env *env = total->env;
	const int *ranks = groups->ranks;
	double least = INFINITY;

	PARTITION_GROUPS (groups, g, ranks)
		for (int i = 0; i < groups->sizes[g]; i++)
			for (int j = 0; j < groups->sizes[g]; j++) {
				int from = env->host_of[ranks[i]], to = env->host_of[ranks[j]];
				double rate = links_pair(env->links, from, to)->bytes_per_s;

				if (i == j)
					continue;
				cost_wait_for(total, g % total->groups,
					      cost_latency(env, from, to) +
						      (groups->sizes[g] - 2) * COST_MORE_S);
				if (!(rate < least))
					continue;
				least = rate;
				slowest->from = from;
				slowest->to = to;
			}
	return least;
}

/* As all flows are as long, the last ones are those with the least fair share: of the segment that
 * has least for each of them, or of a pair. */
void cost_run_pairs(struct cost_total *total, const struct partition *groups, double bytes)
{
	const struct cost_env *env = total->env;
	int *here = xcalloc(env->links->hosts, sizeof(*here));
	struct cost slowest = { .limit = FLOW_BY_PAIR };
	double least = meet(total, groups, &slowest), seconds;

	for (size_t s = 0; s < env->links->segment_count; s++) {
		const struct link_segment *segment = &env->links->segments[s];
		int flows = crossing_of(env, segment, groups, here);

		if (flows == 0 || !(segment->bytes_per_s / flows < least))
			continue;
		least = segment->bytes_per_s / flows;
		slowest.limit = (int)s;
		slowest.crossing = flows;
	}
	seconds = bytes / least;
	for (int g = 0; g < total->groups; g++)
		total->seconds[g] += seconds;
	if (seconds > total->longest_s) {
		total->longest_s = seconds;
		total->cost = slowest;
	}
	cost_run_stage(total);
	free(here);
}
