/* What schemes that round at random must give on average. */
#ifndef DSTRAIN_TESTS_DRAWS_H
#define DSTRAIN_TESTS_DRAWS_H

#include <math.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/compress/compress.h"

/* Encoded and decoded, with the random numbers of draw `which`. Returns the payload's length. */
static inline size_t decoded(const struct part *part, const float *x, size_t count, uint64_t which,
			     float *y)
{
	const struct compressor *compressor = (const struct compressor *)part->entry;
	struct compress_input input = { .x = x,
					.count = count,
					.rng = rng_make(7, RNG_COMPRESS, 1, which) };
	size_t bound = compressor->bound(part->params, count), length;
	unsigned char *bytes = xmalloc(bound);
	struct error err = { "" };

	length = compressor->encode(part->params, &input, bytes);
	assert_true(length <= bound);
	for (size_t i = 0; i < count; i++)
		y[i] = 0;
	if (compressor->decode_add(part->params, bytes, length, 1, y, count, &err) < 0)
		fail_msg("%s", err.text);
	free(bytes);
	return length;
}

/*
 * The mean of `draws` is x within five standard errors, where variance[i] is exact, and the sum of
 * the variances is right within 3 %.
 */
static inline void check_draws(const struct part *part, const float *x, const double *variance,
			       size_t count, size_t draws)
{
	double *sum = xcalloc(count, sizeof(*sum)), *squares = xcalloc(count, sizeof(*squares));
	float *y = xcalloc(count, sizeof(*y));
	double seen = 0, expected = 0;

	for (size_t n = 0; n < draws; n++) {
		decoded(part, x, count, n, y);
		for (size_t i = 0; i < count; i++) {
			double off = (double)y[i] - (double)x[i];

			sum[i] += off;
			squares[i] += off * off;
		}
	}
	for (size_t i = 0; i < count; i++) {
		double rounding = 1e-6 * fabs((double)x[i]);

		assert_true(fabs(sum[i] / (double)draws) <=
			    5 * sqrt(variance[i] / (double)draws) + rounding);
		seen += squares[i] / (double)draws;
		expected += variance[i];
	}
	assert_true(seen >= 0.97 * expected && seen <= 1.03 * expected);
	free(sum);
	free(squares);
	free(y);
}

#endif
