/*
 * Coordinates at random, larger ones more probably: p = min(1, |x| / size), which of all chances
 * with the same sum has the least variance (Wangni, Wang, Liu and Zhang, "Gradient sparsification
 * for communication-efficient distributed optimization", NeurIPS 2018); and how large the sum
 * should be, as runtime/compress/cutoff.h has it.
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_CHANCES_H
#define DSTRAIN_RUNTIME_COMPRESS_CHANCES_H

#include "runtime/compress/cutoff.h"

struct rng;

struct chances {
	double number; /* of coordinates that is expected; 0 if x is zero */
	float size;    /* as large and larger ones are certain */
	double omega;  /* |x|^2 / sum of x^2 / p: the factor of x / p that promises most */
	bool dense;    /* send x itself */
};

/* Of so many, at most as many as are not zero, in the mean. */
struct chances chances_of(const float *x, size_t count, double number);
/* A number for which omega / price is within a few percent of the largest: of ends of packets and
 * of sizes that are no more than a sixteenth apart. */
struct chances chances_choose(const struct cutoff_rule *rule, const float *x, size_t count);

enum { CHANCES_BLOCK = 1024 };
/* Which of x[at .. at + length), at most CHANCES_BLOCK, are drawn, where x[0] takes the random word
 * `first`: places from `at`, [the number that it returns]. */
size_t chances_draw(const struct chances *chances, const struct rng *rng, size_t first,
		    const float *x, size_t at, size_t length, uint16_t *places);
/* What is sent of one that was drawn. */
float chances_value(const struct chances *chances, float x);

#endif
