/*
 * Element by element over long vectors, by a team: in chunks of one size, so that the number of
 * threads changes nothing. `y` may be one of the others.
 */
#ifndef DSTRAIN_RUNTIME_VECTOR_H
#define DSTRAIN_RUNTIME_VECTOR_H

#include <stddef.h>

struct team;

void vector_relu(struct team *team, float *y, const float *x, size_t count); /* max(x, 0) */
/* dx = dy where y, the result of relu, is above 0, else 0 */
void vector_relu_slope(struct team *team, float *dx, const float *y, const float *dy, size_t count);
void vector_add(struct team *team, float *y, const float *x, size_t count); /* y += x */

#endif
