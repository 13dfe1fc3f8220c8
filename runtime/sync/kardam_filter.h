/*
 * Which updates a server takes if up to f of its n >= 3f + 1 workers may send anything: Damaskinos
 * et al., "Asynchronous Byzantine machine learning (the case of SGD)", ICML 2018. Each is judged
 * alone, by numbers. Pure: the same calls give the same verdicts.
 *
 *	growth		k = |g - g'| / |x - x'| may not exceed the (n-f)/n quantile of the workers'
 *			own coefficients, of each the most of its last `window`; g' is the update
 *			taken last, x and x' what this worker computed this and its last update from
 *	frequency	of any 2f + 1 updates taken one after the other, no f workers have made more
 *			than f, so that at least f + 1 come from honest ones. Where f lie, the
 *others' are taken in turn: what comes before its turn should wait for it
 *
 *	norm		no more than twice the (f+1)th largest of the workers' last norms, which is
 *			not above that of some honest one: growth alone lets through what is ten
 *			times too large once honest workers have come short ways, and is not known
 *			while coefficients are few or where x = x'
 *
 * With f = 0 all that is finite is taken.
 */
#ifndef DSTRAIN_RUNTIME_SYNC_KARDAM_FILTER_H
#define DSTRAIN_RUNTIME_SYNC_KARDAM_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kardam_filter;

struct kardam_params {
	size_t workers, f;
	size_t window;	 /* coefficients of a worker that count */
	uint64_t warmup; /* updates until growth is judged, too */
	bool hatch;	 /* after as many refusals in a row as there are workers, one is taken */
};

struct kardam_update {
	size_t worker;
	double norm;   /* of g */
	double growth; /* k; NAN: there is none */
	double own;    /* the worker's coefficient, as it says; NAN: it has none */
};

enum kardam_verdict {
	KARDAM_ACCEPTED,
	KARDAM_NOT_FINITE,
	KARDAM_GREW,
	KARDAM_FREQUENT, /* not now */
	KARDAM_VERDICTS
};

/* params->workers >= 3 f + 1. */
struct kardam_filter *kardam_filter_new(const struct kardam_params *params);
enum kardam_verdict kardam_filter_judge(struct kardam_filter *filter,
					const struct kardam_update *update);
/* Whether an update of this worker's that was only too frequent may be taken now; then it is. */
bool kardam_filter_take_late(struct kardam_filter *filter, size_t worker);
/* How many updates were judged so, and how many of them the hatch let through. */
uint64_t kardam_filter_count(const struct kardam_filter *filter, enum kardam_verdict verdict);
uint64_t kardam_filter_hatched(const struct kardam_filter *filter);
void kardam_filter_free(struct kardam_filter *filter); /* may be NULL */

#endif
