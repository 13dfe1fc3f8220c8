/* How one channel of one sample is normalised, y = a (x - mean) + b, and the way back. */
#ifndef DSTRAIN_RUNTIME_PLANE_NORM_H
#define DSTRAIN_RUNTIME_PLANE_NORM_H

#include <stdbool.h>

/* With relu, dy counts only where that is > 0. dx = p dy + q (x - mean) + r. */
struct plane_norm {
	float a, b, mean, p, q, r;
	bool relu;
};

#endif
