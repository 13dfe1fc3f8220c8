/* Numbers in order, and the one in the middle. */
#include "lib/numbers.h"

#include <math.h>
#include <stdlib.h>

int numbers_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void numbers_sort(double *x, size_t count)
{
	if (count > 0) /* or x may be NULL */
		qsort(x, count, sizeof(*x), numbers_compare);
}

double numbers_median(double *x, size_t count)
{
	numbers_sort(x, count);
	return count > 0 ? (x[(count - 1) / 2] + x[count / 2]) / 2 : NAN;
}
