/*
 * Collectives: which way they go, and those that pass from neighbour to neighbour. All members get
 * the same bits, since every element is added in an order fixed by the group.
 */
#include "runtime/coll.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/coll_channel.h"
#include "runtime/coll_cost.h"
#include "runtime/coll_direct.h"
#include "runtime/coll_flow.h"
#include "runtime/coll_hierarchy.h"
#include "runtime/coll_shared.h"
#include "runtime/slice.h"
#include "runtime/transport/transport.h"

const char *const coll_algorithm_names[] = { "auto",   "ring", "halving_doubling", "tree",
					     "direct", "flat", "hierarchical",	   NULL };

enum { MEETING = 4 }; /* latencies that a slice must take for a meeting to be worth its own */

struct group group_world(int *ranks, int world, int rank)
{
	for (int i = 0; i < world; i++)
		ranks[i] = i;
	return (struct group){ .ranks = ranks, .count = world, .index = rank };
}

int group_index(const struct group *group, int rank)
{
	int index = 0;

	while (group->ranks[index] != rank)
		index++;
	return index;
}

int group_neighbour(const struct group *group, int distance)
{
	return group->ranks[(group->index + distance + group->count) % group->count];
}

/* Dissemination: after round k each rank has heard, directly or not, of 2^(k+1) - 1 others. */
int coll_barrier(struct net *net, const struct group *group, struct error *err)
{
	struct coll_call call = { .group = group, .kind = COLL_BARRIER };

	if (group->count > 1 && coll_channel_serves(net, group))
		return coll_shared_barrier(net, group, err);
	for (int distance = 1; distance < group->count; distance *= 2) {
		struct net_request requests[2];

		net_post_recv(net, group_neighbour(group, -distance), coll_tag(&call), NULL, 0,
			      &requests[0]);
		net_post_send(net, group_neighbour(group, distance), coll_tag(&call), NULL, 0,
			      &requests[1]);
		if (coll_wait(net, requests, 2, err) < 0)
			return -1;
	}
	return 0;
}

/* Are bytes what takes long, and not messages? The same on all members. */
static bool is_long(const struct group *group, size_t count)
{
	const struct coll_cost *cost = group->cost ? group->cost : &coll_cost_default;
	double slice = (double)(count * sizeof(float)) / group->count;

	return slice * cost->beta_s >= MEETING * cost->alpha_s;
}

/*
 * Before a long transfer in a group whose members go on in other groups. Who came early would send
 * to a rank that still receives from somebody else, and take half of that rank's link from the one
 * it waits for; late ranks then make others late, and so on from step to step.
 */
static int meet(struct net *net, const struct group *group, size_t count, struct error *err)
{
	return is_long(group, count) ? coll_barrier(net, group, err) : 0;
}

/* Steps `from` to `to` of a ring allreduce: n - 1 that add, then n - 1 that copy. */
static int ring_steps(const struct coll_call *call, float *x, size_t count, int from, int to,
		      struct error *err)
{
	const struct group *group = call->group;
	struct coll_flow flow = { .to = group_neighbour(group, 1),
				  .from = group_neighbour(group, -1),
				  .x = x,
				  .count = count,
				  .slices = group->count,
				  .first = group->index - 1 - from,
				  .steps = to - from,
				  .adds = group->count - 1 - from };

	return coll_flow_run(call, &flow, err);
}

static int ring(const struct coll_call *call, float *x, size_t count, struct error *err)
{
	return ring_steps(call, x, count, 0, 2 * (call->group->count - 1), err);
}

/* All of x goes one way: to be added, or to replace what is there. */
static int pass(const struct coll_call *call, int to, int from, int adds, float *x, size_t count,
		struct error *err)
{
	struct coll_flow flow = { .to = to,
				  .from = from,
				  .x = x,
				  .count = count,
				  .slices = 1,
				  .steps = 1,
				  .adds = adds };

	return coll_flow_run(call, &flow, err);
}

/* x of the partners at `distance`, `distance` / 2, ..., 1 becomes their sum: halves are exchanged
 * and added on the way down, and given back on the way up. */
static int halve_and_double(const struct coll_call *call, int distance, float *x, size_t count,
			    struct error *err)
{
	const struct group *group = call->group;
	int half = (group->index & distance) != 0, first = group->index & ~distance;
	const int both[] = { group->ranks[first], group->ranks[first | distance] };
	struct group pair = {
		.ranks = both, .count = 2, .index = half, .id = group->id, .cost = group->cost
	};
	struct coll_flow flow = {
		.x = x, .count = count, .slices = 2, .first = 1 - half, .steps = 1, .adds = 1
	};
	size_t length, start;

	if (distance == 0)
		return 0;
	start = slice_start(count, 2, half, &length);
	flow.to = flow.from = both[1 - half];
	if (meet(call->net, &pair, count, err) < 0 || coll_flow_run(call, &flow, err) < 0 ||
	    halve_and_double(call, distance / 2, x + start, length, err) < 0)
		return -1;
	flow.first = half;
	flow.adds = 0;
	if (meet(call->net, &pair, count, err) < 0)
		return -1;
	return coll_flow_run(call, &flow, err);
}

/* Ranks beyond the largest power of two hand their vector to a partner and get the sum back. */
static int halving_doubling(const struct coll_call *call, float *x, size_t count, struct error *err)
{
	const struct group *group = call->group;
	int power = 1, folded, partner = COLL_NOBODY;

	while (power <= group->count / 2)
		power *= 2;
	folded = group->count - power;
	if (group->index >= power) {
		partner = group->ranks[group->index - power];
		if (pass(call, partner, COLL_NOBODY, 0, x, count, err) < 0)
			return -1;
		return pass(call, COLL_NOBODY, partner, 0, x, count, err);
	}
	if (group->index < folded)
		partner = group->ranks[group->index + power];
	if (pass(call, COLL_NOBODY, partner, 1, x, count, err) < 0 ||
	    halve_and_double(call, power / 2, x, count, err) < 0)
		return -1;
	return pass(call, partner, COLL_NOBODY, 0, x, count, err);
}

/* Binomial: the parent's place, counted from the root, is the child's without its lowest bit. */
static int broadcast(const struct coll_call *call, int root, void *bytes, size_t length,
		     struct error *err)
{
	const struct group *group = call->group;
	int place = (group->index - root + group->count) % group->count, bit = 1;
	struct net_request requests[sizeof(int) * 8];
	size_t children = 0;

	while (bit < group->count && !(place & bit))
		bit *= 2;
	if (place != 0) {
		net_post_recv(call->net, group_neighbour(group, -bit), coll_tag(call), bytes,
			      length, requests);
		if (coll_wait(call->net, requests, 1, err) < 0)
			return -1;
	}
	for (bit /= 2; bit > 0; bit /= 2)
		if (place + bit < group->count)
			net_post_send(call->net, group_neighbour(group, bit), coll_tag(call), bytes,
				      length, &requests[children++]);
	return coll_wait(call->net, requests, children, err);
}

/* The same tree, upwards to place 0 and down again. */
static int tree(const struct coll_call *call, float *x, size_t count, struct error *err)
{
	const struct group *group = call->group;
	int bit = 1;

	for (; bit < group->count && !(group->index & bit); bit *= 2)
		if (group->index + bit < group->count &&
		    pass(call, COLL_NOBODY, group_neighbour(group, bit), 1, x, count, err) < 0)
			return -1;
	if (group->index != 0 &&
	    pass(call, group_neighbour(group, -bit), COLL_NOBODY, 0, x, count, err) < 0)
		return -1;
	return broadcast(call, 0, x, count * sizeof(float), err);
}

int coll_allreduce(struct net *net, const struct group *group, enum coll_algorithm algorithm,
		   float *x, size_t count, struct error *err)
{
	static int (*const run[])(const struct coll_call *, float *, size_t, struct error *) = {
		[COLL_RING] = ring,	 [COLL_HALVING_DOUBLING] = halving_doubling,
		[COLL_TREE] = tree,	 [COLL_DIRECT] = coll_direct,
		[COLL_FLAT] = coll_flat, [COLL_HIERARCHICAL] = coll_hierarchical,
	};
	const struct coll_cost *cost = group->cost ? group->cost : &coll_cost_default;
	struct coll_call call;
	int status;

	if (group->count == 1 || count == 0)
		return 0;
	if (algorithm == COLL_HIERARCHICAL && !group->parts)
		algorithm = COLL_RING;
	if (algorithm == COLL_AUTO && coll_channel_serves(net, group))
		return coll_shared_allreduce(net, group, x, count, err);
	if (algorithm == COLL_AUTO)
		algorithm = coll_cost_best(cost, group->count, count * sizeof(*x));
	if (group->count < net_world(net) && meet(net, group, count, err) < 0)
		return -1;
	call = coll_call_begin(net, group, COLL_ALLREDUCE, count);
	status = run[algorithm](&call, x, count, err);
	coll_call_end(&call);
	return status;
}

int coll_reduce_scatter(struct net *net, const struct group *group, float *x, size_t count,
			struct error *err)
{
	struct coll_call call;
	int status;

	if (group->count == 1 || count == 0)
		return 0;
	if (coll_channel_serves(net, group))
		return coll_shared_reduce_scatter(net, group, x, count, err);
	if (group->count < net_world(net) && meet(net, group, count, err) < 0)
		return -1;
	call = coll_call_begin(net, group, COLL_REDUCE_SCATTER, count);
	status = ring_steps(&call, x, count, 0, group->count - 1, err);
	coll_call_end(&call);
	return status;
}

int coll_allgather(struct net *net, const struct group *group, float *x, size_t count,
		   struct error *err)
{
	int steps = group->count - 1, status;
	struct coll_call call;

	if (group->count == 1 || count == 0)
		return 0;
	if (coll_channel_serves(net, group))
		return coll_shared_allgather(net, group, x, count, err);
	if (group->count < net_world(net) && meet(net, group, count, err) < 0)
		return -1;
	call = coll_call_begin(net, group, COLL_ALLGATHER, 0);
	status = ring_steps(&call, x, count, steps, 2 * steps, err);
	coll_call_end(&call);
	return status;
}

int coll_broadcast(struct net *net, const struct group *group, int root_index, void *bytes,
		   size_t length, struct error *err)
{
	struct coll_call call = { .net = net, .group = group, .kind = COLL_BROADCAST };

	if (group->count == 1 || length == 0)
		return 0;
	if (coll_channel_serves(net, group))
		return coll_shared_broadcast(net, group, root_index, bytes, length, err);
	return broadcast(&call, root_index, bytes, length, err);
}

/* Each length goes to everybody directly: small messages, one round. */
static int gather_lengths(struct net *net, const struct group *group, size_t mine, size_t *lengths,
			  struct net_request *requests, struct error *err)
{
	struct coll_call call = { .group = group, .kind = COLL_LENGTHS };
	size_t width = sizeof(uint64_t), posted = 0;
	unsigned char *theirs = xcalloc((size_t)group->count, width);
	struct buf ours = { 0 };
	struct wire wire;
	int status;

	wire_put_u64(&ours, mine);
	for (int i = 0; i < group->count; i++)
		if (i != group->index)
			net_post_recv(net, group->ranks[i], coll_tag(&call),
				      theirs + (size_t)i * width, width, &requests[posted++]);
	for (int i = 0; i < group->count; i++)
		if (i != group->index)
			net_post_send(net, group->ranks[i], coll_tag(&call), ours.data, width,
				      &requests[posted++]);
	status = coll_wait(net, requests, posted, err);
	wire = wire_reader(theirs, (size_t)group->count * width);
	for (int i = 0; i < group->count; i++)
		lengths[i] = (size_t)wire_get_u64(&wire);
	lengths[group->index] = mine;
	buf_release(&ours);
	free(theirs);
	return status;
}

/* Blocks travel round the ring: every rank passes on what it got. */
static int gather_blocks(struct net *net, const struct group *group, unsigned char *all,
			 const size_t *starts, const size_t *lengths, struct net_request *requests,
			 struct error *err)
{
	struct coll_call call = { .group = group, .kind = COLL_BYTES };
	int n = group->count, rounds = n - 1, status = 0, got = 0, block;
	struct net_request *sends = requests + rounds;
	struct error ignored;

	for (int i = 0; i < rounds; i++) {
		block = (group->index - 1 - i + n) % n;
		net_post_recv(net, group_neighbour(group, -1), coll_tag(&call), all + starts[block],
			      lengths[block], &requests[i]);
	}
	for (; got < rounds && status == 0; got++) {
		block = (group->index - got + n) % n;
		net_post_send(net, group_neighbour(group, 1), coll_tag(&call), all + starts[block],
			      lengths[block], &sends[got]);
		status = net_wait(net, &requests[got], err);
	}
	if (status == 0)
		return coll_wait(net, sends, (size_t)rounds, err);
	net_abort(net, err->text); /* as in coll_wait(); the receives left, then the sends so far */
	net_wait_all(net, requests + got, (size_t)rounds, &ignored);
	return -1;
}

int coll_allgather_bytes(struct net *net, const struct group *group, const void *mine,
			 size_t length, unsigned char **all, size_t *starts, size_t *lengths,
			 struct error *err)
{
	struct net_request *requests = xcalloc(2 * (size_t)group->count, sizeof(*requests));
	int status = gather_lengths(net, group, length, lengths, requests, err);
	unsigned char *blocks = NULL;
	size_t total = 0;

	for (int i = 0; i < group->count && status == 0; i++) {
		starts[i] = total;
		total += lengths[i];
		if (lengths[i] > SIZE_MAX / 2 || total > SIZE_MAX / 2)
			status = error_set(err, "rank %d sent an impossible length",
					   group->ranks[i]);
	}
	if (status == 0) {
		blocks = xmalloc(total);
		if (length)
			memcpy(blocks + starts[group->index], mine, length);
		status = gather_blocks(net, group, blocks, starts, lengths, requests, err);
	}
	free(requests);
	if (status < 0)
		free(blocks);
	else
		*all = blocks;
	return status;
}
