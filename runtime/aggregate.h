/*
 * One vector of many, some of which are wrong: rules that no few of them can lead astray. What is
 * not finite never counts; if nothing is, neither is the result. Which row is whose changes
 * nothing, but for the choice among equals.
 */
#ifndef DSTRAIN_RUNTIME_AGGREGATE_H
#define DSTRAIN_RUNTIME_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>

struct aggregate;
struct error;

enum aggregate_rule {
	AGGREGATE_MEDIAN,	/* of each coordinate */
	AGGREGATE_TRIMMED_MEAN, /* of each coordinate, without the `tolerate` least and most */
	AGGREGATE_MAJORITY,	/* the sign that most have, times the median of the sizes */
	AGGREGATE_KRUM,		/* the row that is nearest to its neighbours */
	AGGREGATE_MULTI_KRUM	/* the mean of those that are */
};

extern const char *const aggregate_rules[]; /* NULL-terminated, for option tables */

/* For n rows, of which so many may be wrong; NULL and err where the rule cannot bear so many. */
struct aggregate *aggregate_new(enum aggregate_rule rule, size_t n, size_t tolerate,
				struct error *err);
void aggregate_free(struct aggregate *aggregate); /* may be NULL */

/* Rules that choose among rows have to be told, before aggregate_mix, how far these are apart. */
bool aggregate_chooses(const struct aggregate *aggregate);
/* distance[n * n] becomes the squared distances of rows[n][count]; those of the pieces of a vector
 * add up. */
void aggregate_distances(const struct aggregate *aggregate, const float *const *rows, size_t count,
			 float *distance);
int aggregate_choose(struct aggregate *aggregate, const float *distance, struct error *err);
/* y[count], which may be one of the rows, becomes what the rule makes of them. */
void aggregate_mix(struct aggregate *aggregate, const float *const *rows, size_t count, float *y);

#endif
