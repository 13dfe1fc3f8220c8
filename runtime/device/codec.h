/* What the kernels that round to few bits take; see runtime/device/kernels.h. */
#ifndef DSTRAIN_RUNTIME_CODEC_H
#define DSTRAIN_RUNTIME_CODEC_H

#include <stddef.h>
#include <stdint.h>

/* What is measured of a vector, in a fixed order; 0 of an empty one. */
struct code_measure {
	double below, above; /* sums of what is below 0, and of the rest */
	size_t negative;     /* how many are below 0 */
};

/* How elements become codes. */
struct code_rule {
	float up, inverse; /* levels: |x| * up * inverse is in units of a level; powers: of the
			      lowest */
	uint32_t most;	   /* levels: the highest; above it: this one */
	uint32_t sign;	   /* the bit of negative numbers */
	uint32_t low;	   /* powers: the exponent, biased by 127, of code 1 */
	float scale;	   /* votes: of x, before it is compared */
};

#endif
