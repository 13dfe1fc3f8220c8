/*
 * Predicted seconds of sums of compressed vectors: of what travels, and of the codec. They count as
 * if they followed each other: segments are encoded while others are on their way, but only where a
 * processor is free for that.
 */
#include "lib/cost.h"

#include <math.h>
#include <stdlib.h>

#include "lib/cost_stage.h"

/* Of a vector, encoded and sent in segments of so many bytes of float32 at most. */
static const double SEGMENT = 256 << 10;

/* Seconds to add a byte to another, and what of a ring's time is worth another way: as in
 * runtime/coll_cost.c. */
static const double ADD_S = 0.15e-9, WORTH = 0.9;

/* All vectors are encoded, those of all members decoded. */
static double gather_codec_s(const struct cost_codec *codec, int n, double bytes)
{
	return bytes * (codec->encode_s + (n + codec->feedback) * codec->decode_s);
}

/* Slices of others are encoded, then the sum of one's own; n - 1 of its slice and all sums are
 * decoded. */
static double owners_codec_s(const struct cost_codec *codec, int n, double bytes)
{
	double decoded = 2 - 1.0 / n + codec->feedback;

	return bytes * (codec->encode_s + decoded * codec->decode_s);
}

/* How messages round a ring come, which is all that ranks know when they choose. */
static struct cost_pace pace_of(const struct cost_env *env, const struct partition *rings)
{
	struct cost_env brief = *env;
	struct cost_total total;
	struct cost_pace pace = { .n = cost_largest_group(rings) };
	const int *ranks = rings->ranks;
	struct cost ring;

	brief.brief = true;
	total = cost_total_new(&brief, 1, rings->groups * pace.n);
	for (int i = 0; i < pace.n; i++)
		pace.alpha_s =
			fmax(pace.alpha_s, cost_latency(env, env->host_of[ranks[i]],
							env->host_of[ranks[(i + 1) % pace.n]]));
	cost_add_gathers(&total, rings, 1);
	cost_run_stage(&total);
	ring = cost_total_end(&total, 0);
	pace.beta_s = (ring.seconds - ring.latency_s) / fmax(pace.n - 1, 1);
	return pace;
}

/* Until messages to all others at once have come. */
static double latency_s(const struct cost_pace *pace)
{
	return pace->alpha_s + (pace->n - 2) * COST_MORE_S;
}

/* What is encoded at a time, of slices. */
static double bucket_of(const struct cost_env *env)
{
	double bucket = env->codec.bucket_bytes;

	return bucket > 0 ? fmin(env->bytes, bucket) : env->bytes;
}

/* The rules of runtime/exchange_choice.c, of which a bucket is enough to know. */
static enum cost_way choose(const struct cost_env *env, const struct cost_pace *pace)
{
	const struct cost_codec *codec = &env->codec;
	double n = pace->n, bytes = bucket_of(env), payload = bytes * codec->ratio;
	double gather = latency_s(pace) + (n - 1) * payload * pace->beta_s;
	double owners = 2 * latency_s(pace) + 2 * (n - 1) / n * payload * pace->beta_s;
	double sparse = INFINITY;

	if (codec->way != COST_CHOSEN)
		return codec->way;
	if (codec->chosen > 0) {
		gather += n * bytes * codec->decode_s;
		owners += 2 * bytes * codec->decode_s;
		sparse = cost_sparse_seconds(codec, pace, bytes);
	}
	if (sparse < gather && sparse < owners)
		return COST_SPARSE;
	return owners < gather ? COST_OWNERS : COST_GATHER;
}

/* Whether sums of slices go round the ring, and not straight to everybody. */
static bool has_ring(const struct cost_env *env, const struct cost_pace *pace)
{
	double n = pace->n, bytes = fmin(bucket_of(env) / n, SEGMENT) * n * env->codec.ratio;
	double sent = (n - 1) * bytes / n, once = latency_s(pace);
	double ring = 2 * ((n - 1) * pace->alpha_s + sent * pace->beta_s);
	double direct = 2 * (once + sent * pace->beta_s) + sent * ADD_S;
	double flat = once + n * sent * (pace->beta_s + ADD_S);

	return direct >= WORTH * ring && (flat >= direct || flat >= ring);
}

/* Slices to their owners, and what these made of them to all. */
static void run_owners(struct cost_total *total, const struct cost_env *env,
		       const struct partition *groups, const struct cost_pace *pace)
{
	double payload = env->bytes * env->codec.ratio / pace->n;

	cost_run_pairs(total, groups, payload);
	if (!has_ring(env, pace)) {
		cost_run_pairs(total, groups, payload);
		return;
	}
	cost_add_gathers(total, groups, payload);
	cost_run_stage(total);
}

/* Runs the stages of a way in all groups; what a rank then sends, and its codec. */
static struct cost run(struct cost_total *total, const struct cost_env *env,
		       const struct partition *groups, enum cost_way way)
{
	int n = cost_largest_group(groups);
	double payload = env->bytes * env->codec.ratio;
	struct cost_pace pace;

	if (n == 1)
		return (struct cost){ 0 };
	pace = pace_of(env, groups);
	if (way == COST_CHOSEN)
		way = choose(env, &pace);
	if (way == COST_SPARSE)
		return cost_run_sparse(total, env, groups, &pace);
	if (way == COST_OWNERS) {
		run_owners(total, env, groups, &pace);
		return (struct cost){ .bytes_sent = 2 * (n - 1) * payload / n,
				      .codec_s = owners_codec_s(&env->codec, n, env->bytes) };
	}
	cost_run_pairs(total, groups, payload);
	return (struct cost){ .bytes_sent = (n - 1) * payload,
			      .codec_s = gather_codec_s(&env->codec, n, env->bytes) };
}

struct cost cost_opaque(const struct cost_env *env, const struct partition *partition,
			enum cost_way way)
{
	struct cost_total total = cost_total_new(env, partition->groups, env->world);
	struct cost own = run(&total, env, partition, way);
	struct cost cost = cost_total_end(&total, own.bytes_sent);

	cost.codec_s = own.codec_s;
	return cost;
}

/* What was sent is decoded to see how near it came, whatever is done about it. */
struct cost cost_differences(const struct cost_env *env, const struct partition *partition)
{
	struct cost_env looking_back = *env;

	looking_back.codec.feedback = true;
	return cost_opaque(&looking_back, partition, COST_GATHER);
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
	int size = cost_largest_group(partition);
	struct partition rings = cost_across_groups(partition);
	struct cost_total total = cost_total_new(env, 1, size * partition->groups);
	struct cost_env of_slice = *env;
	struct cost cost, own;

	of_slice.bytes /= size;
	of_slice.codec.bucket_bytes /= size;
	cost_add_rings(&total, partition, 1, env->bytes);
	cost_run_stage(&total);
	own = run(&total, &of_slice, &rings, COST_CHOSEN);
	cost_add_rings(&total, partition, 1, env->bytes);
	cost_run_stage(&total);
	partition_release(&rings);
	cost = cost_total_end(&total, 2 * (size - 1) * of_slice.bytes + own.bytes_sent);
	cost.codec_s = own.codec_s * slices_of_one(partition, size);
	return cost;
}
