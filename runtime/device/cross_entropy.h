/* Rows of a softmax cross entropy, as their kernel sees them. */
#ifndef DSTRAIN_RUNTIME_CROSS_ENTROPY_H
#define DSTRAIN_RUNTIME_CROSS_ENTROPY_H

#include <stddef.h>

struct cross_entropy {
	size_t rows, outputs;
	const float *logits, *targets;
	float scale;
	float *slopes; /* times scale; NULL: not wanted; may be logits */
};

#endif
