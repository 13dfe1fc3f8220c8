/* Derivatives compared with differences, for tests. */
#ifndef DSTRAIN_TESTS_DIFFERENCE_H
#define DSTRAIN_TESTS_DIFFERENCE_H

#include <math.h>

/* How far `slope`, by *x, is from the nearest of the central, left and right difference: an edge
 * within h, as of relu, spoils the central one and that of its side. */
static inline double difference_miss(double function(void *arg), void *arg, float *x, double slope,
				     float h)
{
	float kept = *x, above = kept + h, below = kept - h;
	double here = function(arg), high, low, central, left, right;

	*x = above;
	high = function(arg);
	*x = below;
	low = function(arg);
	*x = kept;
	central = fabs((high - low) / ((double)above - below) - slope);
	left = fabs((here - low) / ((double)kept - below) - slope);
	right = fabs((high - here) / ((double)above - kept) - slope);
	return fmin(central, fmin(left, right));
}

#endif
