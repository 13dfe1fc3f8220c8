/*
 * Finds out what a network carries, by measurements that it asks for: every pair alone, and chosen
 * sets of flows at once, from which it infers the segments that they share. Pure: who asks for a
 * step runs it, on real hosts or on simulated ones.
 */
#ifndef DSTRAIN_LIB_SURVEY_H
#define DSTRAIN_LIB_SURVEY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/links.h"

struct survey;

struct survey_params {
	double seconds;	   /* the whole may take about so long; 0: as long as it needs */
	double bytes;	   /* and send as much; 0: no limit */
	double precision;  /* 95 % interval of a rate, as a part of it: 0.05 */
	size_t concurrent; /* flows at once at most; 0: any number */
	bool pairs_only;   /* no flows under contention */
	const char *const
		*groups; /* [hosts] racks or sites if known, entries may be NULL; or NULL */
};

enum survey_kind {
	SURVEY_PING, /* round trips of disjoint pairs, at once */
	SURVEY_FLOWS /* one-way transfers, all at once */
};

/* What is to be measured next: all at the same time. */
struct survey_flow {
	int from, to; /* hosts */
};
struct survey_step {
	enum survey_kind kind;
	struct survey_flow *flows; /* [count], owned by the survey until the next call */
	size_t count;
	double seconds;	 /* of the window that counts, after the flows have come up to speed */
	const char *why; /* a few words, for progress */
};

/* Of each flow of a step. */
struct survey_result {
	double rtt_s, rtt_min_s;    /* of a ping */
	double bytes_per_s, spread; /* of a flow, within the window; spread as struct link_pair */
};

/* Params and names [hosts] are copied. */
struct survey *survey_new(const char *const *names, size_t hosts,
			  const struct survey_params *params);
/* False: nothing left to measure. */
bool survey_next(struct survey *survey, struct survey_step *step);
void survey_take(struct survey *survey, const struct survey_result *results); /* of that step */
/* What all of it has really taken by now; where nobody says so, an estimate counts. */
void survey_clock(struct survey *survey, double seconds, double bytes);

/* What is known by now, complete or not. Borrowed; segments are there once survey_next said no. */
const struct links *survey_links(const struct survey *survey);

/* Before it begins: what it will take, if rates are about `bytes_per_s` and trips `rtt_s`. */
struct survey_cost {
	size_t steps, flows;
	double seconds, bytes;
};
struct survey_cost survey_cost(const struct survey *survey, double bytes_per_s, double rtt_s);
/* What is left by what is known now, of seconds. */
double survey_left(const struct survey *survey);
void survey_free(struct survey *survey); /* may be NULL */

#endif
