/*
 * Predicted seconds of sums of pairs, as runtime/coll_sparse.h adds them up: by recursive doubling,
 * or by owners of slices. A sum has more of the coordinates than its parts.
 */
#include "lib/cost_stage.h"

#include <math.h>
#include <stdbool.h>

#include "lib/memory.h"

/* Seconds to pack a pair and unpack it again, and to merge it with others: as in
 * runtime/coll_sparse_cost.c. */
static const double CODE_S = 18e-9, MERGE_S = 5e-9;

static int power_below(int n)
{
	int power = 1;

	while (power <= n / 2)
		power *= 2;
	return power;
}

/* The part of the coordinates that a sum of n has, if each has some anywhere. */
static double fill(const struct cost_codec *codec, int n)
{
	return 1 - pow(1 - fmin(codec->chosen, 1), n);
}

/* Bytes of a sum of n, of so many bytes of float32. */
static double packed(const struct cost_codec *codec, int n, double bytes)
{
	return bytes * fmin(fill(codec, n) / codec->chosen * codec->ratio, 1);
}

static double pairs(const struct cost_codec *codec, int n, double bytes)
{
	return fill(codec, n) * bytes / sizeof(float);
}

/* What is done with pairs by the rank that has most of them. */
static double doubling_work(const struct cost_codec *codec, int n, double bytes)
{
	int power = power_below(n);
	double work = 0;

	for (int bit = 1; bit < power; bit *= 2)
		work += pairs(codec, bit, bytes) * (CODE_S + 2 * MERGE_S);
	if (power < n)
		work += pairs(codec, 1, bytes) * (CODE_S + 2 * MERGE_S) +
			pairs(codec, n, bytes) * CODE_S;
	return work;
}

static double split_work(const struct cost_codec *codec, int n, double bytes)
{
	return pairs(codec, 1, bytes) * (CODE_S + ceil(log2(n)) * MERGE_S) +
	       pairs(codec, n, bytes) * CODE_S;
}

static double doubling_seconds(const struct cost_codec *codec, const struct cost_pace *pace,
			       double bytes)
{
	int n = pace->n, power = power_below(n);
	double seconds = doubling_work(codec, n, bytes);

	for (int bit = 1; bit < power; bit *= 2)
		seconds += pace->alpha_s + packed(codec, bit, bytes) * pace->beta_s;
	if (power < n)
		seconds += 2 * pace->alpha_s +
			   (packed(codec, 1, bytes) + packed(codec, n, bytes)) * pace->beta_s;
	return seconds;
}

static double split_seconds(const struct cost_codec *codec, const struct cost_pace *pace,
			    double bytes)
{
	int n = pace->n;
	double sent = (packed(codec, 1, bytes) + packed(codec, n, bytes)) * (n - 1) / n;

	return 2 * pace->alpha_s + 4 * (n - 1.5) * COST_MORE_S + sent * pace->beta_s +
	       split_work(codec, n, bytes);
}

double cost_sparse_seconds(const struct cost_codec *codec, const struct cost_pace *pace,
			   double bytes)
{
	return fmin(doubling_seconds(codec, pace, bytes), split_seconds(codec, pace, bytes));
}

/* What all of a group's first `bit` ranks have goes to a partner as far away; those beyond a power
 * of two hand over theirs before (bit 0), and get the sum at last. */
static void run_exchange(struct cost_total *total, const struct partition *groups, int bit,
			 double bytes)
{
	const int *ranks = groups->ranks;

	PARTITION_GROUPS (groups, g, ranks) {
		int size = groups->sizes[g], power = power_below(size);

		for (int i = 0; i < power && bit > 0 && bit < power; i++)
			cost_add_message(total, g % total->groups, ranks[i], ranks[i ^ bit], bytes);
		for (int i = power; i < size && bit == 0; i++)
			cost_add_message(total, g % total->groups, ranks[i], ranks[i - power],
					 bytes);
	}
	cost_run_stage(total);
}

static double run_doubling(struct cost_total *total, const struct cost_env *env,
			   const struct partition *groups, int n)
{
	const struct cost_codec *codec = &env->codec;
	int power = power_below(n);
	double sent = 0;

	run_exchange(total, groups, 0, packed(codec, 1, env->bytes));
	for (int bit = 1; bit < power; bit *= 2) {
		double bytes = packed(codec, bit, env->bytes);

		run_exchange(total, groups, bit, bytes);
		sent += bytes;
	}
	if (power == n)
		return sent;
	run_exchange(total, groups, 0, packed(codec, n, env->bytes));
	return sent + packed(codec, n, env->bytes);
}

static double run_split(struct cost_total *total, const struct cost_env *env,
			const struct partition *groups, int n)
{
	double first = packed(&env->codec, 1, env->bytes) / n;
	double sums = packed(&env->codec, n, env->bytes) / n;

	cost_run_pairs(total, groups, first);
	cost_run_pairs(total, groups, sums);
	return (n - 1) * (first + sums);
}

struct cost cost_run_sparse(struct cost_total *total, const struct cost_env *env,
			    const struct partition *groups, const struct cost_pace *pace)
{
	const struct cost_codec *codec = &env->codec;
	double bytes = env->bytes, bucket = codec->bucket_bytes > 0 ? codec->bucket_bytes : bytes;
	int n = pace->n;
	bool split;
	struct cost cost = { 0 };

	bucket = fmin(bucket, bytes);
	split = split_seconds(codec, pace, bucket) < doubling_seconds(codec, pace, bucket);
	cost.bytes_sent =
		split ? run_split(total, env, groups, n) : run_doubling(total, env, groups, n);
	cost.codec_s = bytes * (codec->encode_s + (1 + codec->feedback) * codec->decode_s) +
		       (split ? split_work(codec, n, bytes) : doubling_work(codec, n, bytes));
	return cost;
}
