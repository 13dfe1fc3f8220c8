/* Local search for a better order of the ranks: small changes, kept where they are no worse. */
#ifndef DSTRAIN_LIB_PLAN_SEARCH_H
#define DSTRAIN_LIB_PLAN_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

struct plan_search {
	int *order; /* [world] to begin with, and the best that was found */
	int world;
	bool ring; /* the first rank follows the last: parts may be turned round or moved */
	double (*seconds)(void *arg, const int *order);
	void *arg;
	uint64_t seed;
	double deadline; /* by clock_now */
};

/* Until nothing was better for long. Returns the seconds of the order. */
double plan_search_run(struct plan_search *search);

#endif
