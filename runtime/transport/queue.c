/* Requests in a row, oldest first. */
#include "runtime/transport/queue.h"

#include <stdlib.h>

/* Takes out the request behind `before` (NULL: the first). */
static struct net_request *take_behind(struct queue *queue, struct net_request *before)
{
	struct net_request **link = before ? &before->next : &queue->first;
	struct net_request *request = *link;

	*link = request->next;
	if (queue->last == request)
		queue->last = before;
	request->next = NULL;
	return request;
}

void queue_add(struct queue *queue, struct net_request *request)
{
	request->next = NULL;
	if (queue->first)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

struct net_request *queue_take(struct queue *queue)
{
	return take_behind(queue, NULL);
}

struct net_request *queue_take_tag(struct queue *queue, uint64_t tag)
{
	struct net_request *before = NULL;

	for (struct net_request *r = queue->first; r; before = r, r = r->next)
		if (r->tag == tag)
			return take_behind(queue, before);
	return NULL;
}

bool queue_remove(struct queue *queue, const struct net_request *request)
{
	struct net_request *before = NULL;

	for (struct net_request *r = queue->first; r; before = r, r = r->next)
		if (r == request)
			return take_behind(queue, before);
	return false;
}

void queue_free(struct queue *queue)
{
	while (queue->first)
		free(queue_take(queue));
}
