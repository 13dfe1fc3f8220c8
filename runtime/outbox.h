/* A worker's way out: frames are queued by any thread and written to stdout by one of its own. */
#ifndef DSTRAIN_RUNTIME_OUTBOX_H
#define DSTRAIN_RUNTIME_OUTBOX_H

#include <stddef.h>

struct buf;
struct error;
struct outbox;

struct outbox *outbox_new(int fd, struct error *err); /* borrows fd */
/* Queues the bytes of `frames` and empties it. Does not block. */
void outbox_send(struct outbox *outbox, struct buf *frames);
/* Blocks until at most `bytes` wait to be written, or until the deadline: for large senders, so
 * that memory stays bounded. */
void outbox_wait(struct outbox *outbox, size_t bytes, double deadline);

#endif
