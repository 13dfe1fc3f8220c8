/* One connection to a peer: messages between its stream and the mailbox. For one thread at a time.
 */
#ifndef DSTRAIN_RUNTIME_CONN_H
#define DSTRAIN_RUNTIME_CONN_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct error;
struct mailbox;
struct net_overhead;
struct pipe_end;
struct pollfd;
struct stream;

/* Takes the stream over. `box` is borrowed. `number` is which of the ways to the peer it is. */
struct conn *conn_new(struct mailbox *box, int peer, int number, uint32_t view,
		      const struct stream *stream);
void conn_free(struct conn *conn); /* may be NULL; after mailbox_lose, or with the mailbox unused */
void conn_close(struct conn *conn); /* it is lost; may come again */

/* Both go on until the socket has no more or something is finished, or for a fair while. 1: bytes
 * have moved; 0: none; -1: the peer is lost. */
int conn_read(struct conn *conn, struct error *err);
int conn_write(struct conn *conn, struct error *err);
bool conn_has_input(const struct conn *conn);	/* read again without polling */
bool conn_wants_write(const struct conn *conn); /* write again when there is room */
struct net_overhead conn_overhead(const struct conn *conn);

/* Messages go through memory from here on; before the first one of the user. */
int conn_use_pipes(struct conn *conn, const struct pipe_end *in, const struct pipe_end *out,
		   struct error *err);

/* What to poll for. Before a thread sleeps in poll: true if there is something to do, and it must
 * not. Afterwards: what there is to do, POLLIN and POLLOUT, by what poll said. */
struct pollfd conn_poll(const struct conn *conn);
bool conn_before_sleep(struct conn *conn);
short conn_events(struct conn *conn, short revents);

void conn_end(struct conn *conn);	      /* all is written: tells the peer so */
bool conn_delivered(const struct conn *conn); /* the peer's machine has all of it */

#endif
