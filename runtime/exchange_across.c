/*
 * Sums of a group that falls into parts, within which links are fast: floats within the parts,
 * messages across them. Who holds a piece of its part's sum sends it, and owes what it leaves out.
 */
#include "runtime/exchange_way.h"

struct across {
	struct exchange *exchange;
	const struct vector *vector;
};

static int sum_piece(void *arg, const struct group *owners, size_t start, float *x, size_t count,
		     struct error *err)
{
	struct across *across = arg;
	struct vector piece = exchange_part(across->vector, start, count);

	piece.group = owners;
	piece.x = x;
	return exchange_messages(across->exchange, &piece, err);
}

int exchange_across(struct exchange *exchange, const struct vector *vector, struct error *err)
{
	struct across across = { exchange, vector };

	return coll_allreduce_across(exchange->env.net, vector->group, vector->x, vector->count,
				     sum_piece, &across, err);
}
