/*
 * Messages of a group, one from each member to the others, of lengths that only their senders know:
 * each is on its way as soon as it is written, and is there for its receiver as soon as it has
 * come, while others are still written and carried. No lengths go ahead of them, since all members
 * know the most that a message can be. Nothing is allocated where an earlier round was as large.
 */
#ifndef DSTRAIN_RUNTIME_COLL_ROUND_H
#define DSTRAIN_RUNTIME_COLL_ROUND_H

#include <stddef.h>

struct coll_round;
struct error;
struct group;
struct net;

enum coll_way {
	COLL_EACH_ITS_OWN, /* another message for each member */
	COLL_SAME_DIRECT,  /* one for all of them, sent to each */
	COLL_SAME_RING	   /* one for all of them, which pass it on */
};

struct coll_round *coll_round_new(int world);
void coll_round_free(struct coll_round *round); /* may be NULL */

/*
 * The round number `number` of its way; several may be under way, whose numbers rise. At most
 * in[i] bytes come from member i, and at most out[i] go to it (of one for all: out[this member]).
 * 0: no message. What a member takes is what the other one gives; in a ring all have the same `in`,
 * but for their own. Borrows the net and the group until coll_round_end.
 */
void coll_round_begin(struct coll_round *round, struct net *net, const struct group *group,
		      enum coll_way way, size_t number, const size_t *in, const size_t *out);
/* Where to write the message to member i (for all: to this one), and then: it is so long, and may
 * go. One for all goes before any is taken. */
unsigned char *coll_round_room(struct coll_round *round, int i);
void coll_round_send(struct coll_round *round, int i, size_t length);
/* Waits for the message of member i, which stays until the round ends; one for all: of this member,
 * too. NULL and err. All are taken, in any order. */
const unsigned char *coll_round_take(struct coll_round *round, int i, size_t *length,
				     struct error *err);
/* Waits until all that was sent has left. */
int coll_round_end(struct coll_round *round, struct error *err);
/* The same without an end, before a failure: of a message of somebody else, of which those who are
 * still to get this one's will then hear from their own copy. */
void coll_round_flush(struct coll_round *round);
/* After a failure and net_abort: gets the buffers back. Also where nothing is under way. */
void coll_round_abandon(struct coll_round *round);

#endif
