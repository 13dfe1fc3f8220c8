/*
 * Who averages with whom, step by step: partitions of the ranks into groups, and schedules of
 * partitions (DS-Sync: Wang et al., "Divide-and-Shuffle Synchronization for Distributed Machine
 * Learning", INFOCOM 2021, arXiv 2007.03298). Pure.
 */
#ifndef DSTRAIN_LIB_GROUPS_H
#define DSTRAIN_LIB_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct json;

/* Disjoint groups that cover all ranks, each in the order of its ring. Owned arrays. */
struct partition {
	int *ranks; /* [world], group after group */
	int *sizes; /* [groups] */
	int groups;
};

/* Group g of each: `at`, which is to begin at the first of `ranks`, is at the group's. */
#define PARTITION_GROUPS(partition, g, at) \
	for (int g = 0; g < (partition)->groups; (at) += (partition)->sizes[g++])

/* The partition of step t is phase[t % phases]. */
struct schedule {
	int world, phases;
	struct partition *phase; /* [phases] */
};

/* One group of all ranks, in the order `order` [world] (NULL: 0, 1, ...). */
struct partition partition_flat(int world, const int *order);
/* `size` at a time of a permutation drawn from (seed, step); sizes differ by at most one. */
struct partition partition_random(int world, int size, uint64_t seed, uint64_t step);
/* What partition_random made becomes that of another step, in place. */
void partition_draw(struct partition *partition, uint64_t seed, uint64_t step);
/* A rank's group: *ranks (borrowed), *count; returns the rank's index in it. */
int partition_group(const struct partition *partition, int rank, const int **ranks, int *count);
void partition_copy(struct partition *to, const struct partition *from);
void partition_release(struct partition *partition);

/* Its phases are zeroed partitions, to be filled in. */
struct schedule schedule_new(int world, int phases);
/*
 * Mixed radix: `order` [world] (NULL: identity) lays the ranks out, the digit of weight 1 first;
 * phase a groups those that differ in digit a alone. The product of radix[0 .. axes) is the world.
 */
struct schedule schedule_radix(int world, const int *order, const int *radix, int axes);
/* Groups of about `size`, sizes differing by at most one, whose members rotate: for worlds whose
 * prime factors allow nothing exact. */
struct schedule schedule_rotating(int world, const int *order, int size, int phases);
struct schedule schedule_flat(int world, const int *order);
void schedule_copy(struct schedule *to, const struct schedule *from);
void schedule_release(struct schedule *schedule);

/* Any `steps` consecutive phases from any start average exactly over all ranks; 0: never. */
int schedule_exact_after(const struct schedule *schedule);
/* The factor by which the distance from the mean (2-norm) shrinks at least over one period; 0 if
 * that is exact. */
double schedule_contraction(const struct schedule *schedule);

/* Every rank once in each phase, no empty group: what comes from outside is checked by it. */
int schedule_check(const struct schedule *schedule, struct error *err);
struct json *schedule_json(const struct schedule *schedule); /* [[[0,1],[2,3]],[[0,2],[1,3]]] */
int schedule_from_json(struct schedule *out, const struct json *json, struct error *err);

#endif
