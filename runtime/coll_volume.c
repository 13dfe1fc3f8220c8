/* How much a rank sends in a collective on floats: the arithmetic of its algorithm, nothing else.
 */
#include "runtime/coll_volume.h"

#include "runtime/coll_channel.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_hierarchy.h"
#include "runtime/coll_shared.h"
#include "runtime/slice.h"

static uint64_t bytes_of(size_t count)
{
	return (uint64_t)count * sizeof(float);
}

/* The slice of the member `distance` places after this one. */
static uint64_t slice_bytes(const struct group *group, size_t count, int distance)
{
	size_t length, n = (size_t)group->count;

	slice_start(count, n, (size_t)(group->index + distance) % n, &length);
	return bytes_of(length);
}

static uint64_t to_others(const struct group *group, uint64_t bytes)
{
	return (uint64_t)(group->count - 1) * bytes;
}

/* Sums are formed of all slices but this rank's own, and all but the next one's are passed on. */
static uint64_t ring(const struct group *group, size_t count)
{
	return 2 * bytes_of(count) - slice_bytes(group, count, 0) - slice_bytes(group, count, 1);
}

static uint64_t direct(const struct group *group, size_t count)
{
	uint64_t own = slice_bytes(group, count, 0);

	return bytes_of(count) - own + to_others(group, own);
}

static uint64_t flat(const struct group *group, size_t count)
{
	return to_others(group, bytes_of(count));
}

/* One half is given away, the other one is kept, given away in part, and given back. */
static uint64_t halving_doubling(const struct group *group, size_t count)
{
	int power = 1, folded;
	size_t held = count, sent = 0;

	while (power <= group->count / 2)
		power *= 2;
	folded = group->count - power;
	if (group->index >= power)
		return bytes_of(count);
	if (group->index < folded)
		sent = count;
	for (int distance = power / 2; distance > 0; distance /= 2) {
		size_t whole = held;

		slice_start(whole, 2, (group->index & distance) != 0, &held);
		sent += whole; /* what is given away now, and what is given back */
	}
	return bytes_of(sent);
}

/* To the parent, and back to each child. */
static uint64_t tree(const struct group *group, size_t count)
{
	int bit = 1, times = group->index != 0;

	for (; bit < group->count && !(group->index & bit); bit *= 2)
		times += group->index + bit < group->count;
	return (uint64_t)times * bytes_of(count);
}

uint64_t coll_allreduce_volume(const struct net *net, const struct group *group,
			       enum coll_algorithm algorithm, size_t count)
{
	static uint64_t (*const volume[])(const struct group *, size_t) = {
		[COLL_RING] = ring, [COLL_HALVING_DOUBLING] = halving_doubling,
		[COLL_TREE] = tree, [COLL_DIRECT] = direct,
		[COLL_FLAT] = flat,
	};
	const struct coll_cost *cost = group->cost ? group->cost : &coll_cost_default;

	if (group->count == 1 || count == 0)
		return 0;
	if (algorithm == COLL_HIERARCHICAL && group->parts)
		return coll_hierarchical_volume(net, group, count);
	if (algorithm == COLL_HIERARCHICAL)
		algorithm = COLL_RING;
	if (algorithm == COLL_AUTO && coll_channel_serves(net, group))
		algorithm = coll_shared_is_flat(count) ? COLL_FLAT : COLL_DIRECT;
	if (algorithm == COLL_AUTO)
		algorithm = coll_cost_best(cost, group->count, bytes_of(count));
	return volume[algorithm](group, count);
}

uint64_t coll_reduce_scatter_volume(const struct group *group, size_t count)
{
	return bytes_of(count) - slice_bytes(group, count, 0);
}

uint64_t coll_allgather_volume(const struct net *net, const struct group *group, size_t count)
{
	if (coll_channel_serves(net, group))
		return to_others(group, slice_bytes(group, count, 0));
	return bytes_of(count) - slice_bytes(group, count, 1);
}
