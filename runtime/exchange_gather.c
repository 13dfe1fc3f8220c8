/* Sums of whole messages: everybody's vector to everybody. */
#include "runtime/exchange_way.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/residual.h"

int exchange_gather(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	const struct group *group = vector->group;
	size_t *starts = exchange->numbers, *lengths = starts + group->count;
	float *x = residual_due(exchange->residual, vector->offset, vector->x, vector->count);
	unsigned char *all = NULL;
	size_t length;
	int status;

	if (exchange_agree(exchange, vector, x, err) < 0)
		return -1;
	exchange_make_room(exchange, coder_bound(exchange->coder, vector->offset, vector->count));
	length = coder_encode(exchange->coder, vector->offset, x, vector->count, exchange->message,
			      err);
	status = length ? residual_settle(exchange->residual, exchange->coder, exchange->message,
					  length, vector->offset, vector->count, err)
			: -1;
	if (status == 0)
		status = coll_allgather_bytes(exchange->env.net, group, exchange->message, length,
					      &all, starts, lengths, err);
	memset(vector->x, 0, vector->count * sizeof(*vector->x));
	for (int i = 0; i < group->count && status == 0; i++)
		status = exchange_decode(exchange, group->ranks[i], all + starts[i], lengths[i],
					 vector->offset, vector->x, vector->count, err);
	free(all);
	return status;
}
