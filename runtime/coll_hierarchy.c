/*
 * Allreduce within parts and across them. A part of s members makes s slices; where the parts'
 * sizes differ, so do the borders of their slices, and what lies between two borders of any part is
 * a piece, which has one owner in each part. A rank that owns several pieces takes part in one ring
 * after another: rounds, in which nobody has more than one piece, keep all of them busy.
 */
#include "runtime/coll_hierarchy.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/groups.h"
#include "lib/memory.h"
#include "runtime/coll.h"
#include "runtime/coll_flow.h"
#include "runtime/coll_volume.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

/* Of a vector of so many elements. */
struct pieces {
	size_t elements;
	size_t *starts; /* [count + 1], the end of the vector is the last */
	int *rounds;	/* [count] */
	int count, round_count;
};

/* Vectors are of few lengths, those of the buckets: each is cut once. */
struct coll_parts {
	const struct partition *partition;
	int world;
	int *owners;	     /* [parts] of the piece at hand */
	struct pieces *kept; /* [count] */
	size_t count;
};

static int compare(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static void find_borders(struct pieces *pieces, const struct partition *parts, size_t count)
{
	size_t length, *starts = pieces->starts;
	int borders = 0;

	for (int p = 0; p < parts->groups; p++)
		for (int i = 0; i < parts->sizes[p]; i++)
			starts[borders++] =
				slice_start(count, (size_t)parts->sizes[p], (size_t)i, &length);
	qsort(starts, (size_t)borders, sizeof(*starts), compare);
	for (int i = 0; i < borders; i++)
		if (starts[i] < count && (i == 0 || starts[i] != starts[i - 1]))
			starts[pieces->count++] = starts[i];
	starts[pieces->count] = count;
}

/* Where the longest slice begins that the piece is a part of: all pieces from there on have an
 * owner in common with it. */
static size_t reach(const struct pieces *pieces, const struct partition *parts, size_t count,
		    int piece)
{
	size_t first = pieces->starts[piece];

	for (int p = 0; p < parts->groups; p++) {
		size_t slices = (size_t)parts->sizes[p], length;
		size_t slice = slice_at(count, slices, pieces->starts[piece]);
		size_t start = slice_start(count, slices, slice, &length);

		first = start < first ? start : first;
	}
	return first;
}

/* Do pieces before this one, from element `first` on, have that round? */
static bool is_taken(const struct pieces *pieces, int piece, size_t first, int round)
{
	for (int i = piece - 1; i >= 0 && pieces->starts[i] >= first; i--)
		if (pieces->rounds[i] == round)
			return true;
	return false;
}

static int first_free_round(const struct pieces *pieces, int piece, size_t first)
{
	int round = 0;

	while (is_taken(pieces, piece, first, round))
		round++;
	return round;
}

static struct pieces cut(const struct partition *parts, int world, size_t count)
{
	struct pieces pieces = { .elements = count,
				 .starts = xcalloc((size_t)world + 1, sizeof(*pieces.starts)),
				 .rounds = xcalloc((size_t)world, sizeof(*pieces.rounds)) };

	find_borders(&pieces, parts, count);
	for (int i = 0; i < pieces.count; i++) {
		pieces.rounds[i] = first_free_round(&pieces, i, reach(&pieces, parts, count, i));
		if (pieces.rounds[i] >= pieces.round_count)
			pieces.round_count = pieces.rounds[i] + 1;
	}
	return pieces;
}

/* Valid until the next call. */
static const struct pieces *pieces_of(struct coll_parts *parts, size_t count)
{
	for (size_t i = 0; i < parts->count; i++)
		if (parts->kept[i].elements == count)
			return &parts->kept[i];
	parts->kept = xgrow(parts->kept, parts->count, sizeof(*parts->kept));
	parts->kept[parts->count] = cut(parts->partition, parts->world, count);
	return &parts->kept[parts->count++];
}

/* This rank's part, as a group. Every two ranks meet in the same collectives in the same order, so
 * that all groups may share an id. */
static struct group part_of(const struct group *whole, const struct partition *parts)
{
	struct group part = { .id = whole->id, .cost = whole->cost };

	part.index = partition_group(parts, whole->ranks[whole->index], &part.ranks, &part.count);
	return part;
}

/* The owners of a piece; index -1 if this rank is none of them. Valid until the next call. */
static struct group owners_of(const struct group *whole, size_t start, size_t count)
{
	const struct partition *parts = whole->parts->partition;
	int *ranks = whole->parts->owners;
	struct group owners = { .ranks = ranks,
				.count = parts->groups,
				.index = -1,
				.id = whole->id,
				.cost = whole->cost };
	const int *members = parts->ranks;

	PARTITION_GROUPS (parts, p, members) {
		ranks[p] = members[slice_at(count, (size_t)parts->sizes[p], start)];
		if (ranks[p] == whole->ranks[whole->index])
			owners.index = p;
	}
	return owners;
}

/* Piece by piece of those that this rank owns. */
static int add_across(const struct group *group, float *x, size_t count, coll_across *across,
		      void *arg, struct error *err)
{
	const struct pieces *pieces = pieces_of(group->parts, count);

	for (int round = 0; round < pieces->round_count; round++)
		for (int i = 0; i < pieces->count; i++) {
			size_t start = pieces->starts[i], end = pieces->starts[i + 1];
			struct group owners;

			if (pieces->rounds[i] != round)
				continue;
			owners = owners_of(group, start, count);
			if (owners.index >= 0 &&
			    across(arg, &owners, start, x + start, end - start, err) < 0)
				return -1;
		}
	return 0;
}

struct coll_parts *coll_parts_new(const struct partition *partition)
{
	struct coll_parts *parts = xcalloc(1, sizeof(*parts));

	parts->partition = partition;
	for (int p = 0; p < partition->groups; p++)
		parts->world += partition->sizes[p];
	parts->owners = xcalloc((size_t)partition->groups, sizeof(*parts->owners));
	return parts;
}

void coll_parts_free(struct coll_parts *parts)
{
	if (!parts)
		return;
	for (size_t i = 0; i < parts->count; i++) {
		free(parts->kept[i].starts);
		free(parts->kept[i].rounds);
	}
	free(parts->kept);
	free(parts->owners);
	free(parts);
}

int coll_parts_count(const struct coll_parts *parts)
{
	return parts ? parts->partition->groups : 1;
}

int coll_allreduce_across(struct net *net, const struct group *group, float *x, size_t count,
			  coll_across *across, void *arg, struct error *err)
{
	struct group part = part_of(group, group->parts->partition);

	if (coll_reduce_scatter(net, &part, x, count, err) < 0 ||
	    add_across(group, x, count, across, arg, err) < 0)
		return -1;
	return coll_allgather(net, &part, x, count, err);
}

static int allreduce(void *arg, const struct group *owners, size_t start, float *x, size_t count,
		     struct error *err)
{
	(void)start;
	return coll_allreduce(arg, owners, COLL_AUTO, x, count, err);
}

int coll_hierarchical(const struct coll_call *call, float *x, size_t count, struct error *err)
{
	return coll_allreduce_across(call->net, call->group, x, count, allreduce, call->net, err);
}

uint64_t coll_hierarchical_volume(const struct net *net, const struct group *group, size_t count)
{
	const struct pieces *pieces = pieces_of(group->parts, count);
	struct group part = part_of(group, group->parts->partition);
	uint64_t sent =
		coll_reduce_scatter_volume(&part, count) + coll_allgather_volume(net, &part, count);

	for (int i = 0; i < pieces->count; i++) {
		size_t start = pieces->starts[i], length = pieces->starts[i + 1] - start;
		struct group owners = owners_of(group, start, count);

		if (owners.index >= 0)
			sent += coll_allreduce_volume(net, &owners, COLL_AUTO, length);
	}
	return sent;
}

/* Was the host of this member that of an earlier one? */
static bool is_known(const struct group *group, const struct net *net, int member)
{
	const char *host = net_host(net, group->ranks[member]);

	for (int i = 0; i < member; i++)
		if (strcmp(net_host(net, group->ranks[i]), host) == 0)
			return true;
	return false;
}

void group_by_host(struct partition *out, const struct group *group, const struct net *net)
{
	int filled = 0;

	*out = (struct partition){ .ranks = xcalloc((size_t)group->count, sizeof(*out->ranks)),
				   .sizes = xcalloc((size_t)group->count, sizeof(*out->sizes)) };
	for (int i = 0; i < group->count; i++) {
		const char *host = net_host(net, group->ranks[i]);
		int begin = filled;

		if (is_known(group, net, i))
			continue;
		for (int k = i; k < group->count; k++)
			if (strcmp(net_host(net, group->ranks[k]), host) == 0)
				out->ranks[filled++] = group->ranks[k];
		out->sizes[out->groups++] = filled - begin;
	}
}
