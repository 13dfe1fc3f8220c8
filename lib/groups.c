/* Who averages with whom, step by step: partitions of the ranks and schedules of partitions. */
#include "lib/groups.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/draw.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/memory.h"

/* The ranks of `order` [world] (NULL: identity), in `groups` groups of sizes still to be given. */
static struct partition partition_of(int world, const int *order, int groups)
{
	struct partition partition = { .ranks = xcalloc((size_t)world, sizeof(int)),
				       .sizes = xcalloc((size_t)groups, sizeof(int)),
				       .groups = groups };

	assert(world > 0 && groups > 0);
	for (int i = 0; i < world; i++)
		partition.ranks[i] = order ? order[i] : i;
	return partition;
}

/* As few groups as hold `size` each at most; the longer ones first. */
static struct partition cut(int world, const int *order, int size)
{
	int groups = (world + size - 1) / size;
	struct partition partition = partition_of(world, order, groups);

	for (int g = 0; g < groups; g++)
		partition.sizes[g] = world / groups + (g < world % groups);
	return partition;
}

struct partition partition_flat(int world, const int *order)
{
	return cut(world, order, world);
}

static int partition_world(const struct partition *partition)
{
	int world = 0;

	for (int g = 0; g < partition->groups; g++)
		world += partition->sizes[g];
	return world;
}

void partition_draw(struct partition *partition, uint64_t seed, uint64_t step)
{
	const struct draw draw = { .seed = seed, .stream = step };
	int world = partition_world(partition);

	for (int i = 0; i < world; i++)
		partition->ranks[i] = i;
	draw_shuffle(&draw, partition->ranks, (size_t)world);
}

struct partition partition_random(int world, int size, uint64_t seed, uint64_t step)
{
	struct partition partition = cut(world, NULL, size);

	partition_draw(&partition, seed, step);
	return partition;
}

int partition_group(const struct partition *partition, int rank, const int **ranks, int *count)
{
	const int *group = partition->ranks;

	PARTITION_GROUPS (partition, g, group)
		for (int i = 0; i < partition->sizes[g]; i++)
			if (group[i] == rank) {
				*ranks = group;
				*count = partition->sizes[g];
				return i;
			}
	assert(0); /* no rank of this partition */
	return -1;
}

void partition_copy(struct partition *to, const struct partition *from)
{
	*to = partition_of(partition_world(from), from->ranks, from->groups);
	memcpy(to->sizes, from->sizes, (size_t)from->groups * sizeof(int));
}

void partition_release(struct partition *partition)
{
	free(partition->ranks);
	free(partition->sizes);
	*partition = (struct partition){ 0 };
}

struct schedule schedule_new(int world, int phases)
{
	return (struct schedule){ .world = world,
				  .phases = phases,
				  .phase = xcalloc((size_t)phases, sizeof(struct partition)) };
}

/* Groups of `radix` ranks whose places in `order` are `stride` apart. */
static struct partition radix_phase(int world, const int *order, int stride, int radix)
{
	struct partition partition = partition_of(world, NULL, world / radix);
	int filled = 0;

	for (int base = 0; base < world; base++) {
		if (base / stride % radix != 0)
			continue;
		partition.sizes[filled / radix] = radix;
		for (int digit = 0; digit < radix; digit++, filled++) {
			int place = base + digit * stride;

			partition.ranks[filled] = order ? order[place] : place;
		}
	}
	return partition;
}

struct schedule schedule_radix(int world, const int *order, const int *radix, int axes)
{
	struct schedule schedule = schedule_new(world, axes);
	int stride = 1;

	for (int a = 0; a < axes; stride *= radix[a++])
		schedule.phase[a] = radix_phase(world, order, stride, radix[a]);
	assert(stride == world);
	return schedule;
}

static int common_divisor(int a, int b)
{
	return b == 0 ? a : common_divisor(b, a % b);
}

/* Pairs of ranks that are together in both. */
static int shared_pairs(const struct partition *a, const struct partition *b, int world)
{
	int *group_of = xcalloc((size_t)world, sizeof(*group_of)), pairs = 0;
	const int *group = a->ranks;

	PARTITION_GROUPS (a, g, group)
		for (int i = 0; i < a->sizes[g]; i++)
			group_of[group[i]] = g;
	group = b->ranks;
	PARTITION_GROUPS (b, g, group)
		for (int i = 0; i < b->sizes[g]; i++)
			for (int j = 0; j < i; j++)
				pairs += group_of[group[i]] == group_of[group[j]];
	free(group_of);
	return pairs;
}

/* Places `stride` apart follow each other, from `start`; cut into groups. */
static struct partition strided(int world, const int *order, int size, int stride, int start)
{
	int *layout = xcalloc((size_t)world, sizeof(*layout));
	struct partition partition;

	for (int i = 0; i < world; i++) {
		int place = (int)(((long long)i * stride + start) % world);

		layout[i] = order ? order[place] : place;
	}
	partition = cut(world, layout, size);
	free(layout);
	return partition;
}

/*
 * Phase p takes the places a stride of size^p apart, as if they were digits: what a rank heard in
 * one phase goes to others that heard nothing of it. It starts where the fewest pairs meet again.
 */
struct schedule schedule_rotating(int world, const int *order, int size, int phases)
{
	struct schedule schedule = schedule_new(world, phases);
	int power = 1;

	for (int p = 0; p < phases; p++) {
		int stride = power % world, least = INT_MAX;

		while (common_divisor(world, stride) != 1)
			stride = (stride + 1) % world;
		for (int start = 0; start < size && start < world && least > 0; start++) {
			struct partition phase = strided(world, order, size, stride, start);
			int pairs = p ? shared_pairs(&schedule.phase[p - 1], &phase, world) : 0;

			if (pairs < least) {
				partition_release(&schedule.phase[p]);
				schedule.phase[p] = phase;
				least = pairs;
			} else {
				partition_release(&phase);
			}
		}
		power = (int)((long long)power * size % world);
	}
	return schedule;
}

struct schedule schedule_flat(int world, const int *order)
{
	struct schedule schedule = schedule_new(world, 1);

	schedule.phase[0] = partition_flat(world, order);
	return schedule;
}

void schedule_copy(struct schedule *to, const struct schedule *from)
{
	*to = schedule_new(from->world, from->phases);
	for (int p = 0; p < from->phases; p++)
		partition_copy(&to->phase[p], &from->phase[p]);
}

void schedule_release(struct schedule *schedule)
{
	for (int p = 0; p < schedule->phases; p++)
		partition_release(&schedule->phase[p]);
	free(schedule->phase);
	*schedule = (struct schedule){ 0 };
}

/*
 * Whether averages are exact is asked of whole numbers modulo a prime, in which a mean is exact,
 * too: two random vectors reach consensus if, and but for one chance in 2^61 only if, all do.
 */
enum { PRIME = INT_MAX, PROBES = 2 }; /* 2^31 - 1 */

static uint64_t inverse(uint64_t x) /* x^(PRIME - 2), by Fermat */
{
	uint64_t result = 1;

	for (uint64_t left = PRIME - 2; left; left /= 2, x = x * x % PRIME)
		if (left & 1)
			result = result * x % PRIME;
	return result;
}

static void average_whole(const struct partition *partition, uint64_t *x)
{
	const int *group = partition->ranks;

	PARTITION_GROUPS (partition, g, group) {
		uint64_t sum = 0;

		for (int i = 0; i < partition->sizes[g]; i++)
			sum += x[group[i]];
		sum = sum % PRIME * inverse((uint64_t)partition->sizes[g]) % PRIME;
		for (int i = 0; i < partition->sizes[g]; i++)
			x[group[i]] = sum;
	}
}

static bool all_equal(const uint64_t *x, int count)
{
	for (int i = 1; i < count; i++)
		if (x[i] != x[0])
			return false;
	return true;
}

/* Steps from phase `start` until x agrees; `most` + 1: it does not within so many. */
static int steps_to_agree(const struct schedule *schedule, int start, int most, uint64_t *x)
{
	int steps = 0;

	for (; steps <= most && !all_equal(x, schedule->world); steps++)
		average_whole(&schedule->phase[(start + steps) % schedule->phases], x);
	return steps;
}

int schedule_exact_after(const struct schedule *schedule)
{
	int most = 2 * schedule->phases, longest = 1;
	uint64_t *x = xcalloc((size_t)schedule->world, sizeof(*x));

	for (int start = 0; start < schedule->phases && longest <= most; start++)
		for (uint64_t probe = 0; probe < PROBES && longest <= most; probe++) {
			const struct draw draw = { .stream = probe };
			int steps;

			for (int i = 0; i < schedule->world; i++)
				x[i] = draw_below(&draw, (uint64_t)i, PRIME);
			steps = steps_to_agree(schedule, start, most, x);
			longest = steps > longest ? steps : longest;
		}
	free(x);
	return longest <= most ? longest : 0;
}

static void average(const struct partition *partition, double *x)
{
	const int *group = partition->ranks;

	PARTITION_GROUPS (partition, g, group) {
		double sum = 0;

		for (int i = 0; i < partition->sizes[g]; i++)
			sum += x[group[i]];
		for (int i = 0; i < partition->sizes[g]; i++)
			x[group[i]] = sum / partition->sizes[g];
	}
}

/* Takes the mean off, and makes the rest a unit vector. Returns the length it had. */
static double centre(double *x, int count)
{
	double mean = 0, square = 0, length;

	for (int i = 0; i < count; i++)
		mean += x[i] / count;
	for (int i = 0; i < count; i++) {
		x[i] -= mean;
		square += x[i] * x[i];
	}
	length = sqrt(square);
	for (int i = 0; i < count && length > 0; i++)
		x[i] /= length;
	return length;
}

/*
 * The largest singular value, but for the mean, of P = W(k-1) ... W(0): by power iteration with
 * P'P, whose factors are the same, as each is symmetric, there and back.
 */
double schedule_contraction(const struct schedule *schedule)
{
	enum { ITERATIONS = 1000 };
	const struct draw draw = { .stream = PROBES };
	int world = schedule->world, exact = schedule_exact_after(schedule), k = schedule->phases;
	double *x, square = 1, before = 0;

	if (exact > 0 && exact <= k)
		return 0;
	x = xcalloc((size_t)world, sizeof(*x));
	for (int i = 0; i < world; i++)
		x[i] = (double)draw_below(&draw, (uint64_t)i, PRIME);
	centre(x, world);
	for (int i = 0; i < ITERATIONS && fabs(square - before) > 1e-12 * square; i++) {
		before = square;
		for (int p = 0; p < k; p++)
			average(&schedule->phase[p], x);
		for (int p = k; p-- > 0;)
			average(&schedule->phase[p], x);
		square = centre(x, world);
	}
	free(x);
	return sqrt(square);
}

/* `seen` [world] is scratch. */
static int check_phase(const struct partition *partition, int world, bool *seen, struct error *err)
{
	memset(seen, 0, (size_t)world * sizeof(*seen));
	for (int g = 0; g < partition->groups; g++)
		if (partition->sizes[g] <= 0)
			return error_set(err, "a group is empty");
	if (partition_world(partition) != world)
		return error_set(err, "%d ranks in its groups, not %d", partition_world(partition),
				 world);
	for (int i = 0; i < world; i++) {
		int rank = partition->ranks[i];

		if (rank < 0 || rank >= world)
			return error_set(err, "what is no rank of %d is among its groups", world);
		if (seen[rank])
			return error_set(err, "rank %d is there twice", rank);
		seen[rank] = true;
	}
	return 0;
}

int schedule_check(const struct schedule *schedule, struct error *err)
{
	bool *seen;
	int status = 0;

	if (schedule->world <= 0 || schedule->phases <= 0)
		return error_set(err, "a schedule without ranks");
	seen = xcalloc((size_t)schedule->world, sizeof(*seen));
	for (int p = 0; p < schedule->phases && status == 0; p++) {
		status = check_phase(&schedule->phase[p], schedule->world, seen, err);
		if (status < 0)
			error_prefix(err, "phase %d", p);
	}
	free(seen);
	return status;
}

static struct json *partition_json(const struct partition *partition)
{
	struct json *groups = json_array_new();
	const int *group = partition->ranks;

	PARTITION_GROUPS (partition, g, group) {
		struct json *ranks = json_array_new();

		for (int i = 0; i < partition->sizes[g]; i++)
			json_add_count(ranks, NULL, (uint64_t)group[i]);
		json_add(groups, NULL, ranks);
	}
	return groups;
}

struct json *schedule_json(const struct schedule *schedule)
{
	struct json *phases = json_array_new();

	for (int p = 0; p < schedule->phases; p++)
		json_add(phases, NULL, partition_json(&schedule->phase[p]));
	return phases;
}

static size_t json_ranks(const struct json *groups)
{
	size_t count = 0;

	for (size_t g = 0; g < json_size(groups); g++)
		count += json_size(json_at(groups, g));
	return count;
}

/* What is no rank becomes -1, which schedule_check finds. */
static struct partition partition_from(const struct json *groups, size_t world)
{
	size_t count = json_size(groups), filled = 0;
	struct partition partition = partition_of((int)world, NULL, (int)count);

	for (size_t g = 0; g < count; g++) {
		const struct json *group = json_at(groups, g);

		partition.sizes[g] = (int)json_size(group);
		for (size_t i = 0; i < json_size(group); i++) {
			uint64_t rank = json_count(json_at(group, i), UINT64_MAX);

			partition.ranks[filled++] = rank < world ? (int)rank : -1;
		}
	}
	return partition;
}

int schedule_from_json(struct schedule *out, const struct json *json, struct error *err)
{
	size_t world = json_ranks(json_at(json, 0)), phases = json_size(json);
	struct schedule schedule;

	if (world == 0 || world > INT_MAX || phases > INT_MAX)
		return error_set(err, "a schedule without ranks");
	for (size_t p = 0; p < phases; p++) {
		size_t ranks = json_ranks(json_at(json, p));

		if (ranks != world)
			return error_set(err, "phase %zu: %zu ranks in its groups, not %zu", p,
					 ranks, world);
	}
	schedule = schedule_new((int)world, (int)phases);
	for (size_t p = 0; p < phases; p++)
		schedule.phase[p] = partition_from(json_at(json, p), world);
	if (schedule_check(&schedule, err) < 0) {
		schedule_release(&schedule);
		return -1;
	}
	*out = schedule;
	return 0;
}
