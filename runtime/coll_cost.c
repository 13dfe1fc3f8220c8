/* What an allreduce by messages takes, predicted from a few numbers about the path. */
#include "runtime/coll_cost.h"

const struct coll_cost coll_cost_default = { .alpha_s = 50e-6, .beta_s = 1e-9, .message_s = 5e-6 };

/* Seconds to add a byte to another. */
static const double ADD_S = 0.15e-9;

/* Of a ring's time, what direct may take to be worth it: a ring crosses a link that pairs share
 * once each way, direct as often as there are pairs across it, which no figure here tells. */
static const double WORTH = 0.9;

/* n - 1 steps that add, n - 1 that copy; a slice each. Segments are added while others come. */
double coll_cost_ring(const struct coll_cost *cost, int n, size_t bytes)
{
	double slice = (double)bytes / n, steps = n - 1;

	return 2 * steps * (cost->alpha_s + slice * cost->beta_s);
}

/* Two steps of n - 1 messages at once, a slice each. */
double coll_cost_direct(const struct coll_cost *cost, int n, size_t bytes)
{
	double slice = (double)bytes / n, peers = n - 1;
	double step = cost->alpha_s + (peers - 1) * cost->message_s + peers * slice * cost->beta_s;

	return 2 * step + peers * slice * ADD_S;
}

/* One step of n - 1 messages at once, everything each. */
double coll_cost_flat(const struct coll_cost *cost, int n, size_t bytes)
{
	double peers = n - 1, all = (double)bytes;

	return cost->alpha_s + (peers - 1) * cost->message_s + peers * all * cost->beta_s +
	       peers * all * ADD_S;
}

enum coll_algorithm coll_cost_best(const struct coll_cost *cost, int n, size_t bytes)
{
	double ring = coll_cost_ring(cost, n, bytes), direct = coll_cost_direct(cost, n, bytes);
	double flat = coll_cost_flat(cost, n, bytes);

	if (flat < direct && (cost->one_host || flat < ring))
		return COLL_FLAT;
	return cost->one_host || direct < WORTH * ring ? COLL_DIRECT : COLL_RING;
}
