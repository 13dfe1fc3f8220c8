/*
 * Predicted seconds of sums of compressed vectors: of what travels, and of the codec. Encoding,
 * sending and decoding follow each other.
 */
#include "lib/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cost_stage.h"
#include "lib/links.h"
#include "lib/memory.h"

/* Of a rank's own work, what each message adds that is sent together with others: as in coll_cost.
 */
static const double MORE_S = 5e-6;

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
						      (groups->sizes[g] - 2) * MORE_S);
				if (!(rate < least))
					continue;
				least = rate;
				slowest->from = from;
				slowest->to = to;
			}
	return least;
}

/*
 * From every member to every other of its group, all at once, `bytes` each. As all flows are as
 * long, the last ones are those with the least fair share: of the segment that has least for each
 * of them, or of a pair.
 */
static void run_pairs(struct cost_total *total, const struct partition *groups, double bytes)
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

static void run_lengths(struct cost_total *total, const struct partition *groups)
{
	struct cost ignored;

	meet(total, groups, &ignored);
	cost_run_stage(total);
}

/* Blocks of `bytes` of all members to all, after everybody said how long they are. */
static void run_gathers(struct cost_total *total, const struct partition *groups, double bytes)
{
	run_lengths(total, groups);
	cost_add_gathers(total, groups, bytes);
	cost_run_stage(total);
}

/* Of n members: slices to their owners, lengths first, and what these made of them to all. */
static void run_owners(struct cost_total *total, const struct partition *groups, int n,
		       double bytes)
{
	run_lengths(total, groups);
	run_pairs(total, groups, bytes / n);
	run_gathers(total, groups, bytes / n);
}

/* All vectors are encoded, those of all members decoded. */
static double gather_codec_s(const struct cost_codec *codec, int n, double bytes)
{
	return n == 1 ? 0 : bytes * (codec->encode_s + (n + codec->feedback) * codec->decode_s);
}

/* Slices of others are encoded, then the sum of one's own; n - 1 of its slice and all sums are
 * decoded. */
static double owners_codec_s(const struct cost_codec *codec, int n, double bytes)
{
	double decoded = 2 - 1.0 / n + codec->feedback;

	return n == 1 ? 0 : bytes * (codec->encode_s + decoded * codec->decode_s);
}

struct cost cost_gather(const struct cost_env *env, const struct partition *partition)
{
	struct cost_total total = cost_total_new(env, partition->groups, env->world);
	int n = cost_largest_group(partition);
	double payload = env->bytes * env->codec.ratio;
	struct cost cost;

	run_gathers(&total, partition, payload);
	cost = cost_total_end(&total, (n - 1) * payload);
	cost.codec_s = gather_codec_s(&env->codec, n, env->bytes);
	return cost;
}

/* What was sent is decoded to see how near it came, whatever is done about it. */
struct cost cost_differences(const struct cost_env *env, const struct partition *partition)
{
	struct cost cost = cost_gather(env, partition);
	struct cost_codec codec = env->codec;

	codec.feedback = true;
	cost.codec_s = gather_codec_s(&codec, cost_largest_group(partition), env->bytes);
	return cost;
}

struct cost cost_owners(const struct cost_env *env, const struct partition *partition)
{
	struct cost_total total = cost_total_new(env, partition->groups, env->world);
	int n = cost_largest_group(partition);
	double payload = env->bytes * env->codec.ratio;
	struct cost cost;

	run_owners(&total, partition, n, payload);
	cost = cost_total_end(&total, 2 * (n - 1) * payload / n);
	cost.codec_s = owners_codec_s(&env->codec, n, env->bytes);
	return cost;
}

/* The rule of runtime/exchange.c, of which a bucket is enough to know: two messages more against
 * bytes at the pace of the ring. */
static bool has_owners(const struct cost_env *env, const struct partition *rings)
{
	struct cost_total total = cost_total_new(env, 1, rings->groups * rings->sizes[0]);
	const struct cost_codec *codec = &env->codec;
	int n = cost_largest_group(rings);
	double bucket =
		codec->bucket_bytes > 0 ? fmin(codec->bucket_bytes, env->bytes) : env->bytes;
	double alpha = 0;
	struct cost ring;

	for (int i = 0; i < n; i++)
		alpha = fmax(alpha, cost_latency(env, env->host_of[rings->ranks[i]],
						 env->host_of[rings->ranks[(i + 1) % n]]));
	cost_add_gathers(&total, rings, bucket * codec->ratio);
	cost_run_stage(&total);
	ring = cost_total_end(&total, 0);
	return (ring.seconds - ring.latency_s) * (1 - 2.0 / n) > 2 * alpha;
}

struct cost cost_opaque(const struct cost_env *env, const struct partition *partition)
{
	struct cost_env brief = *env;

	brief.brief = true;
	return has_owners(&brief, partition) ? cost_owners(env, partition)
					     : cost_gather(env, partition);
}

/* The most slices that one rank of a group has. */
static int slices_of_one(const struct partition *partition, int slices)
{
	int most = 1;

	for (int g = 0; g < partition->groups; g++) {
		int some = (slices + partition->sizes[g] - 1) / partition->sizes[g];

		most = some > most ? some : most;
	}
	return most;
}

struct cost cost_across(const struct cost_env *env, const struct partition *partition)
{
	int size = cost_largest_group(partition), groups = partition->groups;
	struct partition rings = cost_across_groups(partition);
	struct cost_total total = cost_total_new(env, 1, size * groups);
	double slice = env->bytes / size, payload = slice * env->codec.ratio, sent;
	double coded = slice * slices_of_one(partition, size);
	struct cost_env of_slice = *env;
	struct cost cost;
	bool owners;

	of_slice.brief = true;
	of_slice.bytes = slice;
	of_slice.codec.bucket_bytes /= size;
	owners = has_owners(&of_slice, &rings);
	cost_add_rings(&total, partition, 1, env->bytes);
	cost_run_stage(&total);
	if (owners)
		run_owners(&total, &rings, groups, payload);
	else
		run_gathers(&total, &rings, payload);
	cost_add_rings(&total, partition, 1, env->bytes);
	cost_run_stage(&total);
	partition_release(&rings);
	sent = owners ? 2 * (groups - 1) * payload / groups : (groups - 1) * payload;
	cost = cost_total_end(&total, 2 * (size - 1) * slice + sent);
	cost.codec_s = owners ? owners_codec_s(&env->codec, groups, coded)
			      : gather_codec_s(&env->codec, groups, coded);
	return cost;
}
