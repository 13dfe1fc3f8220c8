/* Messages of a group, one from each member to the others, of lengths that only they know. */
#include "runtime/coll_round.h"

#include <stdbool.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/coll.h"
#include "runtime/coll_flow.h"
#include "runtime/transport/transport.h"

/* With one member, in one direction. */
struct message {
	struct net_request request;
	size_t start, most, length;
	bool under_way;
};

struct coll_round {
	struct net *net;
	const struct group *group; /* NULL: none is under way */
	enum coll_way way;
	size_t number;
	struct message *in, *out; /* [world] */
	int hops;		  /* of a ring, that messages have come */
	unsigned char *bytes;	  /* what comes, what goes */
	size_t room;
};

struct coll_round *coll_round_new(int world)
{
	struct coll_round *round = xcalloc(1, sizeof(*round));

	round->in = xcalloc((size_t)world, sizeof(*round->in));
	round->out = xcalloc((size_t)world, sizeof(*round->out));
	return round;
}

void coll_round_free(struct coll_round *round)
{
	if (!round)
		return;
	free(round->in);
	free(round->out);
	free(round->bytes);
	free(round);
}

/* Rounds have tags of their own: on a ring, the next one begins before this one's have all gone on.
 */
static uint64_t tag_to(const struct coll_round *round, int peer)
{
	struct coll_call call = { .group = round->group,
				  .kind = round->way == COLL_EACH_ITS_OWN ? COLL_SLICES
									  : COLL_SUMS };
	size_t streams = (size_t)net_streams(round->net, peer);

	return NET_TAG_STREAM(coll_tag(&call) | (uint64_t)(uint16_t)round->number << 32,
			      round->number % streams);
}

/* Lays the messages out, one behind the other. */
static void lay_out(struct coll_round *round, const size_t *in, const size_t *out)
{
	const struct group *group = round->group;
	bool same = round->way != COLL_EACH_ITS_OWN;
	size_t end = 0;

	for (int i = 0; i < group->count; i++) {
		bool mine = i == group->index;

		round->in[i] = (struct message){ .start = end, .most = mine ? 0 : in[i] };
		end += round->in[i].most;
		round->out[i] = (struct message){ .start = end, .most = mine == same ? out[i] : 0 };
		end += round->out[i].most;
	}
	if (end <= round->room)
		return;
	free(round->bytes);
	round->bytes = xmalloc(end);
	round->room = end;
}

static void post_receive(struct coll_round *round, int i, int peer)
{
	struct message *message = &round->in[i];

	if (message->most == 0)
		return;
	message->under_way = true;
	net_post_recv_up_to(round->net, peer, tag_to(round, peer), round->bytes + message->start,
			    message->most, &message->request);
}

void coll_round_begin(struct coll_round *round, struct net *net, const struct group *group,
		      enum coll_way way, size_t number, const size_t *in, const size_t *out)
{
	int n = group->count;

	round->net = net;
	round->group = group;
	round->way = way;
	round->number = number;
	round->hops = 0;
	lay_out(round, in, out);
	for (int k = 1; k < n; k++) { /* in the order in which they come */
		int i = (group->index + n - k) % n;

		post_receive(round, i,
			     way == COLL_SAME_RING ? group_neighbour(group, -1) : group->ranks[i]);
	}
}

unsigned char *coll_round_room(struct coll_round *round, int i)
{
	return round->bytes + round->out[i].start;
}

/* `send` may be the record of another member than the one it goes to. */
static void post_send(struct coll_round *round, struct message *send, int peer, size_t start,
		      size_t length)
{
	send->under_way = true;
	net_post_send(round->net, peer, tag_to(round, peer), round->bytes + start, length,
		      &send->request);
}

void coll_round_send(struct coll_round *round, int i, size_t length)
{
	const struct group *group = round->group;
	size_t start = round->out[i].start;
	int n = group->count;

	round->out[i].length = length;
	switch (round->way) {
	case COLL_EACH_ITS_OWN:
		post_send(round, &round->out[i], group->ranks[i], start, length);
		break;
	case COLL_SAME_RING:
		if (n > 1)
			post_send(round, &round->out[i], group_neighbour(group, 1), start, length);
		break;
	case COLL_SAME_DIRECT:
		for (int k = 1; k < n; k++) { /* not all to the same one at first */
			int to = (group->index + k) % n;

			post_send(round, &round->out[to], group->ranks[to], start, length);
		}
	}
}

static int receive(struct coll_round *round, int i, struct error *err)
{
	struct message *message = &round->in[i];

	if (!message->under_way)
		return 0;
	message->under_way = false;
	if (net_wait(round->net, &message->request, err) < 0)
		return -1;
	message->length = net_received(&message->request);
	return 0;
}

/* The next message of a ring comes, and goes on. */
static int hop(struct coll_round *round, struct error *err)
{
	const struct group *group = round->group;
	int n = group->count, i = (group->index + n - ++round->hops) % n;
	const struct message *message = &round->in[i];

	if (receive(round, i, err) < 0)
		return -1;
	if (message->most && group_neighbour(group, 1) != group->ranks[i])
		post_send(round, &round->out[i], group_neighbour(group, 1), message->start,
			  message->length);
	return 0;
}

const unsigned char *coll_round_take(struct coll_round *round, int i, size_t *length,
				     struct error *err)
{
	const struct group *group = round->group;
	int status = 0, hops = (group->index - i + group->count) % group->count;

	if (i == group->index) {
		*length = round->out[i].length;
		return round->bytes + round->out[i].start;
	}
	while (round->way == COLL_SAME_RING && round->hops < hops && status == 0)
		status = hop(round, err);
	if (round->way != COLL_SAME_RING)
		status = receive(round, i, err);
	if (status < 0)
		return NULL;
	*length = round->in[i].length;
	return round->bytes + round->in[i].start;
}

static int finish(struct coll_round *round, int i, struct error *err)
{
	struct message *message = &round->out[i];

	if (!message->under_way)
		return 0;
	message->under_way = false;
	return net_wait(round->net, &message->request, err);
}

int coll_round_end(struct coll_round *round, struct error *err)
{
	for (int i = 0; i < round->group->count; i++)
		if (finish(round, i, err) < 0)
			return -1;
	round->group = NULL;
	return 0;
}

void coll_round_flush(struct coll_round *round)
{
	struct error ignored;

	for (int i = 0; round->group && i < round->group->count; i++)
		finish(round, i, &ignored);
}

void coll_round_abandon(struct coll_round *round)
{
	struct error ignored;

	for (int i = 0; round->group && i < round->group->count; i++) {
		receive(round, i, &ignored);
		finish(round, i, &ignored);
	}
	round->group = NULL;
}
