/* Predicted seconds of allreduce algorithms on links that all groups share. */
#include "lib/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cost_stage.h"
#include "lib/memory.h"

struct cost cost_ring(const struct cost_env *env, const struct partition *partition)
{
	struct cost_total total = cost_total_new(env, partition->groups, env->world);
	int size = cost_largest_group(partition);

	cost_add_rings(&total, partition, 2, env->bytes);
	cost_run_stage(&total);
	return cost_total_end(&total, 2.0 * (size - 1) / size * env->bytes);
}

void cost_ring_bytes(const struct cost_env *env, const struct partition *partition, double *seconds)
{
	struct cost_env brief = *env;
	struct cost_total total;

	brief.brief = true;
	total = cost_total_new(&brief, partition->groups, env->world);
	cost_add_rings(&total, partition, 2, env->bytes);
	cost_run_stage(&total);
	memcpy(seconds, total.seconds, (size_t)partition->groups * sizeof(*seconds));
	cost_total_end(&total, 0);
}

/* The largest power of two that is not above n. */
static int power_below(int n)
{
	int power = 1;

	while (power <= n / 2)
		power *= 2;
	return power;
}

/* The same round in each group; `add` adds the messages of one. */
typedef void add_round(struct cost_total *total, int group, const int *ranks, int size,
		       int distance);

static void run_round(struct cost_total *total, const struct partition *partition, add_round *add,
		      int distance)
{
	const int *ranks = partition->ranks;

	PARTITION_GROUPS (partition, g, ranks)
		add(total, g, ranks, partition->sizes[g], distance);
	cost_run_stage(total);
}

/* Ranks beyond the power of two hand all they have to a partner... */
static void fold(struct cost_total *total, int group, const int *ranks, int size, int distance)
{
	int power = power_below(size);

	(void)distance;
	for (int i = power; i < size; i++)
		cost_add_message(total, group, ranks[i], ranks[i - power], total->env->bytes);
}

/* ... and get the sum back. */
static void unfold(struct cost_total *total, int group, const int *ranks, int size, int distance)
{
	int power = power_below(size);

	(void)distance;
	for (int i = power; i < size; i++)
		cost_add_message(total, group, ranks[i - power], ranks[i], total->env->bytes);
}

static void exchange(struct cost_total *total, int group, const int *ranks, int size, int distance)
{
	int power = power_below(size);

	for (int i = 0; i < power && distance < power; i++)
		cost_add_message(total, group, ranks[i], ranks[i ^ distance],
				 total->env->bytes * distance / power);
}

struct cost cost_halving_doubling(const struct cost_env *env, const struct partition *partition)
{
	struct cost_total total = cost_total_new(env, partition->groups, env->world);
	int size = cost_largest_group(partition), power = power_below(size);
	double folded = size > power ? env->bytes : 0;

	run_round(&total, partition, fold, 0);
	for (int distance = power / 2; distance > 0; distance /= 2)
		run_round(&total, partition, exchange, distance);
	for (int distance = 1; distance < power; distance *= 2)
		run_round(&total, partition, exchange, distance);
	run_round(&total, partition, unfold, 0);
	return cost_total_end(&total, 2.0 * (power - 1) / power * env->bytes + folded);
}

/* Binomial: who has `bit` as its lowest one sends to the place without it. */
static void gather(struct cost_total *total, int group, const int *ranks, int size, int bit)
{
	for (int i = bit; i < size; i += 2 * bit)
		cost_add_message(total, group, ranks[i], ranks[i - bit], total->env->bytes);
}

static int ones(int number)
{
	int count = 0;

	for (; number > 0; number &= number - 1)
		count++;
	return count;
}

/* Who has the sum, `depth` ranks from the root, sends it to all its children at once. */
static void scatter(struct cost_total *total, int group, const int *ranks, int size, int depth)
{
	for (int i = 1; i < size; i++)
		if (ones(i) == depth + 1)
			cost_add_message(total, group, ranks[i & (i - 1)], ranks[i],
					 total->env->bytes);
}

struct cost cost_tree(const struct cost_env *env, const struct partition *partition)
{
	struct cost_total total = cost_total_new(env, partition->groups, env->world);
	int size = cost_largest_group(partition), children = 0;

	for (int bit = 1; bit < size; bit *= 2, children++)
		run_round(&total, partition, gather, bit);
	for (int depth = 0; (2 << depth) - 1 < size; depth++)
		run_round(&total, partition, scatter, depth);
	return cost_total_end(&total, children * env->bytes); /* the root's */
}

struct cost cost_hierarchical(const struct cost_env *env, const struct partition *partition)
{
	int size = cost_largest_group(partition), groups = partition->groups;
	struct partition rings = cost_across_groups(partition);
	struct cost_total total = cost_total_new(env, 1, size * groups);
	double slice = env->bytes / size;

	cost_add_rings(&total, partition, 1, env->bytes);
	cost_run_stage(&total);
	cost_add_rings(&total, &rings, 2, slice);
	cost_run_stage(&total);
	cost_add_rings(&total, partition, 1, env->bytes);
	cost_run_stage(&total);
	partition_release(&rings);
	return cost_total_end(&total, 2 * (size - 1) * slice + 2.0 * (groups - 1) / groups * slice);
}
