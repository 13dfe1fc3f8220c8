/* Requests in a row, oldest first. Zeroed is valid and empty. */
#ifndef DSTRAIN_RUNTIME_QUEUE_H
#define DSTRAIN_RUNTIME_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/transport/transport.h"

struct queue {
	struct net_request *first, *last; /* `last` means nothing while it is empty */
};

void queue_add(struct queue *queue, struct net_request *request);
struct net_request *queue_take(struct queue *queue); /* the first; there must be one */
struct net_request *queue_take_tag(struct queue *queue, uint64_t tag);	   /* or NULL */
bool queue_remove(struct queue *queue, const struct net_request *request); /* was it there? */
void queue_free(struct queue *queue);					   /* and its requests */

#endif
