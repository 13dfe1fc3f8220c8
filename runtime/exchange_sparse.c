/* Sums of pairs: of what this rank sends, the coordinates, added up exactly on their way. */
#include "runtime/exchange_way.h"

#include <string.h>

#include "runtime/coll_cost.h"
#include "runtime/coll_sparse.h"
#include "runtime/residual.h"

/* What the message says, as pairs. */
static int read_pairs(struct exchange *exchange, const struct vector *vector, size_t length,
		      struct error *err)
{
	size_t offset = vector->offset, count = vector->count;
	struct sparse_vector *to = &exchange->pairs;
	struct compress_pairs pairs;

	sparse_vector_reserve(to, coder_chosen(exchange->coder, offset, count));
	pairs = (struct compress_pairs){ .indices = to->indices, .values = to->values };
	if (coder_pairs(exchange->coder, exchange->message, length, offset, count, &pairs, err) < 0)
		return -1;
	to->space = count;
	to->count = pairs.count;
	return 0;
}

/* As many pairs as schemes say, if they say so; if they may be any number, all must be asked. */
static enum coll_sparse_algorithm algorithm_of(const struct exchange *exchange,
					       const struct vector *vector)
{
	const struct group *group = vector->group;
	const struct coll_cost *cost = group->cost ? group->cost : &coll_cost_default;
	size_t chosen = coder_chosen(exchange->coder, vector->offset, vector->count);

	if (chosen == vector->count)
		return COLL_SPARSE_AUTO;
	return coll_sparse_cost(cost, group->count, COLL_SPARSE_AUTO, vector->count, (double)chosen)
		.algorithm;
}

int exchange_sparse(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	float *x = residual_due(exchange->residual, vector->offset, vector->x, vector->count);
	size_t length;

	if (exchange_agree(exchange, vector, x, err) < 0)
		return -1;
	if (!exchange->sparse)
		exchange->sparse = coll_sparse_new();
	exchange_make_room(exchange, coder_bound(exchange->coder, vector->offset, vector->count));
	length = coder_encode(exchange->coder, vector->offset, x, vector->count, exchange->message,
			      err);
	if (length == 0 ||
	    residual_settle(exchange->residual, exchange->coder, exchange->message, length,
			    vector->offset, vector->count, err) < 0 ||
	    read_pairs(exchange, vector, length, err) < 0 ||
	    coll_sparse_allreduce(exchange->sparse, exchange->env.net, vector->group,
				  algorithm_of(exchange, vector), &exchange->pairs, err) < 0)
		return -1;
	memset(vector->x, 0, vector->count * sizeof(*vector->x));
	sparse_vector_add_to(&exchange->pairs, vector->x);
	return 0;
}
