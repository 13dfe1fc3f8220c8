/* Collectives on bytes, of which every member may have another number. */
#include "runtime/coll.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/wire.h"
#include "runtime/coll_flow.h"
#include "runtime/transport/transport.h"

enum { LENGTH = sizeof(uint64_t) };

/* Member i is told mine[i], and says how much it has for this one. Directly: small messages, one
 * round. */
static int swap_lengths(struct net *net, const struct group *group, const size_t *mine,
			size_t *theirs, struct net_request *requests, struct error *err)
{
	struct coll_call call = { .group = group, .kind = COLL_LENGTHS };
	unsigned char *come = xcalloc((size_t)group->count, LENGTH);
	struct buf gone = { 0 };
	size_t posted = 0;
	struct wire wire;
	int status;

	for (int i = 0; i < group->count; i++)
		wire_put_u64(&gone, mine[i]);
	for (int i = 0; i < group->count; i++)
		if (i != group->index)
			net_post_recv(net, group->ranks[i], coll_tag(&call),
				      come + (size_t)i * LENGTH, LENGTH, &requests[posted++]);
	for (int i = 0; i < group->count; i++)
		if (i != group->index)
			net_post_send(net, group->ranks[i], coll_tag(&call),
				      gone.data + (size_t)i * LENGTH, LENGTH, &requests[posted++]);
	status = coll_wait(net, requests, posted, err);
	wire = wire_reader(come, (size_t)group->count * LENGTH);
	for (int i = 0; i < group->count; i++)
		theirs[i] = (size_t)wire_get_u64(&wire);
	theirs[group->index] = mine[group->index];
	buf_release(&gone);
	free(come);
	return status;
}

/* One after the other; room for all, or NULL and err if no machine has that. */
static unsigned char *lay_out(const struct group *group, size_t *starts, const size_t *lengths,
			      struct error *err)
{
	size_t total = 0;

	for (int i = 0; i < group->count; i++) {
		starts[i] = total;
		total += lengths[i];
		if (lengths[i] > SIZE_MAX / 2 || total > SIZE_MAX / 2) {
			error_set(err, "rank %d sent an impossible length", group->ranks[i]);
			return NULL;
		}
	}
	return xmalloc(total);
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
	unsigned char *blocks = NULL;
	int status;

	for (int i = 0; i < group->count; i++)
		starts[i] = length; /* to each the same */
	status = swap_lengths(net, group, starts, lengths, requests, err);
	if (status == 0) {
		blocks = lay_out(group, starts, lengths, err);
		status = blocks ? 0 : -1;
	}
	if (status == 0) {
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
