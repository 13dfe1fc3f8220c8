/*
 * Element by element over long vectors, by a team: in chunks of one size, so that the number of
 * threads changes nothing. `y` may be one of the others.
 */
#ifndef DSTRAIN_RUNTIME_VECTOR_H
#define DSTRAIN_RUNTIME_VECTOR_H

#include <stdbool.h>
#include <stddef.h>

struct team;

/* Kernels: y = f(x), and dx = f'(x) dy or the same from what f gave. */
typedef void vector_function(float *y, const float *x, size_t count);
typedef void vector_slope(float *dx, const float *x, const float *dy, size_t count);

void vector_map(struct team *team, vector_function *function, float *y, const float *x,
		size_t count);
void vector_map_slope(struct team *team, vector_slope *slope, float *dx, const float *x,
		      const float *dy, size_t count);

void vector_relu(struct team *team, float *y, const float *x, size_t count); /* max(x, 0) */
/* dx = dy where y, the result of relu, is above 0, else 0 */
void vector_relu_slope(struct team *team, float *dx, const float *y, const float *dy, size_t count);
/* y = x + z, below 0 cut off if relu says so */
void vector_sum(struct team *team, float *y, const float *x, const float *z, size_t count,
		bool relu);
void vector_copy(struct team *team, float *y, const float *x, size_t count);
void vector_add(struct team *team, float *y, const float *x, size_t count); /* y += x */
/* sum[j] = the sum over i of x[i][j], of [rows][count] */
void vector_sum_rows(struct team *team, float *sum, const float *x, size_t rows, size_t count);

#endif
