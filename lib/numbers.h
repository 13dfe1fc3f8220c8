/* Numbers in order, and the one in the middle. */
#ifndef DSTRAIN_LIB_NUMBERS_H
#define DSTRAIN_LIB_NUMBERS_H

#include <stddef.h>

/* Of doubles, for qsort and bsearch: rising. NaN has no place. */
int numbers_compare(const void *a, const void *b);
void numbers_sort(double *x, size_t count);
/* Sorts x. Of an even count, the mean of the two in the middle; NAN of none. */
double numbers_median(double *x, size_t count);

#endif
