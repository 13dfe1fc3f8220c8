/* The connection to one peer: messages between its stream and the mailbox. For one thread. */
#ifndef DSTRAIN_RUNTIME_CONN_H
#define DSTRAIN_RUNTIME_CONN_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct error;
struct mailbox;
struct stream;

/* Takes the stream over. `box` is borrowed. */
struct conn *conn_new(struct mailbox *box, int peer, uint32_t view, const struct stream *stream);
void conn_free(struct conn *conn); /* may be NULL; after mailbox_lose, or with the mailbox unused */

int conn_fd(const struct conn *conn);
/* Both go on until the socket has no more, or for a fair while. -1: the peer is lost. */
int conn_read(struct conn *conn, struct error *err);
int conn_write(struct conn *conn, struct error *err);
bool conn_has_input(const struct conn *conn);	/* read again without polling */
bool conn_wants_write(const struct conn *conn); /* write again when there is room */
uint64_t conn_header_sent(const struct conn *conn);

void conn_end(struct conn *conn);	      /* all is written: tells the peer so */
bool conn_delivered(const struct conn *conn); /* the peer's machine has all of it */

#endif
