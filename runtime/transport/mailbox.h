/*
 * The requests of one rank: posted receives matched with messages that arrive, sends that wait for
 * their turn, and everybody who waits for either. Knows no wires: a transport moves the bytes.
 */
#ifndef DSTRAIN_RUNTIME_MAILBOX_H
#define DSTRAIN_RUNTIME_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/transport/transport.h"

struct mailbox;

/* What env points to is borrowed until mailbox_stop or mailbox_free, whichever comes first. There
 * are `streams` ways to each peer; the tag of a send chooses. */
struct mailbox *mailbox_new(const struct net_env *env, int streams, net_handler *deliver,
			    void *arg);
void mailbox_free(struct mailbox *box); /* may be NULL */

/*
 * A transport whose bytes somebody has to move: who waits does, and only one thread at a time, the
 * leader. `drive` moves bytes until something has happened that may matter to `awaited`, or until
 * `until` (clock_now). `ring` makes it return early; it must not block, nor call the mailbox.
 */
struct mailbox_engine {
	void (*drive)(void *arg, const struct net_request *awaited, double until);
	void (*ring)(void *arg);
	void *arg;
};
void mailbox_set_engine(struct mailbox *box, const struct mailbox_engine *engine); /* first */

/* For a thread that moves bytes while nobody waits. It leads for short whiles. */
bool mailbox_lead(struct mailbox *box); /* false: somebody else does */
void mailbox_leave(struct mailbox *box);
/* Sleeps for as long as those who wait move the bytes, and up to `quiet_s` longer; but not while
 * unsolicited messages are there to be delivered, and not after mailbox_rouse. */
void mailbox_rest(struct mailbox *box, double quiet_s);
void mailbox_rouse(struct mailbox *box);

/* As the operations of struct transport. */
void mailbox_post_send(struct mailbox *box, struct net_request *request);
void mailbox_post_recv(struct mailbox *box, struct net_request *request);
int mailbox_wait(struct mailbox *box, struct net_request *request, double deadline,
		 struct error *err);
void mailbox_abort(struct mailbox *box, const char *why);

/* Every request that involves `peer` fails, now and later, with "lost rank 3 (node3): WHY". Its
 * messages that arrived whole can still be received; an arrival in progress ends here. */
void mailbox_lose(struct mailbox *box, int peer, const char *why);
const char *mailbox_problem(struct mailbox *box, int peer); /* the text; NULL while all is well */
int mailbox_check(struct mailbox *box, int peer, struct error *err);
/* Ends a send that was never queued. */
void mailbox_finish(struct mailbox *box, struct net_request *request, const char *problem);

/*
 * The oldest send to `peer` on `stream`, or NULL. Its bytes stay where they are until mailbox_sent,
 * which must follow soon: without waiting for the network. A send that was begun and is gone the
 * next time was given up by its owner, and the peer is lost.
 */
struct net_request *mailbox_sending(struct mailbox *box, int peer, int stream);
void mailbox_sent(struct mailbox *box, int peer, int stream, bool whole);
bool mailbox_has_sends(struct mailbox *box, int peer, int stream);

/* What stands in front of a message. */
struct envelope {
	uint32_t view;
	uint64_t tag, length;
};

/* A message that is on its way in. All fields belong to the mailbox. */
struct arrival {
	struct arrival *next;
	struct net_request *into; /* the posted receive, or a message to keep */
	int peer;
	size_t capacity; /* of the bytes there; a message to keep grows as they come */
	bool posted;	 /* which of the two */
	bool dropped;
	bool pinned;
};

/* Chooses where the bytes go: straight into a posted receive if there is one. */
void mailbox_begin(struct mailbox *box, struct arrival *arrival, int peer,
		   const struct envelope *envelope);
/* Where the message's byte `at` goes, all before it being there, and how many fit: one at least. It
 * is valid until mailbox_unpin, which must follow soon. */
unsigned char *mailbox_pin(struct mailbox *box, struct arrival *arrival, size_t at, size_t *room);
void mailbox_unpin(struct mailbox *box, struct arrival *arrival);
void mailbox_end(struct mailbox *box, struct arrival *arrival); /* all bytes are there */

/* Calls the handler for the unsolicited messages that have arrived; with `stay` it also waits for
 * more, until mailbox_stop. */
void mailbox_deliver(struct mailbox *box, bool stay);
bool mailbox_has_news(struct mailbox *box); /* there are such messages */
void mailbox_stop(struct mailbox *box);

#endif
