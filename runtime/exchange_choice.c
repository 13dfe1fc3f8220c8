/* Which way a vector is summed: what each takes, predicted from what all members know. */
#include "runtime/coll_cost.h"
#include "runtime/coll_sparse.h"
#include "runtime/exchange_way.h"

/* Seconds to decode a coordinate that was chosen. */
static const double DECODE_S = 12e-9;

/* Until n - 1 messages at once have come. */
static double latency_s(const struct coll_cost *cost, double n)
{
	return cost->alpha_s + (n - 2) * cost->message_s;
}

/* Whole messages. */
static double gather_s(const struct coll_cost *cost, double n, double bytes, double chosen)
{
	return latency_s(cost, n) + (n - 1) * bytes * cost->beta_s + n * chosen * DECODE_S;
}

/* Slices and sums. */
static double owners_s(const struct coll_cost *cost, double n, double bytes, double chosen)
{
	return 2 * latency_s(cost, n) + 2 * (n - 1) * bytes / n * cost->beta_s +
	       2 * chosen * DECODE_S;
}

enum exchange_collective exchange_choose(const struct exchange *exchange,
					 const struct vector *vector)
{
	const struct group *group = vector->group;
	const struct coll_cost *cost = group->cost ? group->cost : &coll_cost_default;
	double bytes = (double)coder_bound(exchange->coder, vector->offset, vector->count);
	size_t most = coder_chosen(exchange->coder, vector->offset, vector->count);
	double chosen = most < vector->count ? (double)most : 0; /* else all are alike */
	double gather = gather_s(cost, group->count, bytes, chosen);
	double owners = owners_s(cost, group->count, bytes, chosen), sparse;

	sparse = coll_sparse_cost(cost, group->count, COLL_SPARSE_AUTO, vector->count, (double)most)
			 .seconds;
	if (most < vector->count && sparse < gather && sparse < owners)
		return EXCHANGE_SPARSE;
	return owners < gather ? EXCHANGE_OWNERS : EXCHANGE_GATHER;
}
