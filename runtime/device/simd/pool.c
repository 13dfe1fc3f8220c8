/* The largest number of each window of a plane, and where it was. */
#include "runtime/device/pool.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/device/simd/simd.h"

/* Windows of 2 x 2 side by side, the most frequent ones. */
static bool is_halving(const struct pool *pool)
{
	return pool->kernel == 2 && pool->stride == 2 && pool->padding == 0;
}

static inline bool is_larger(float x, float than)
{
	return !(x <= than) && than == than; /* the first NaN stays */
}

static void halve(const struct pool *pool, const float *plane, float *restrict out,
		  unsigned char *restrict which)
{
	for (size_t y = 0; y < pool->out_height; y++) {
		const float *above = plane + 2 * y * pool->width, *below = above + pool->width;

		for (size_t x = 0; x < pool->out_width; x++) {
			float best = above[2 * x];
			int where = 0;

			where = is_larger(above[2 * x + 1], best) ? 1 : where;
			best = where == 1 ? above[2 * x + 1] : best;
			where = is_larger(below[2 * x], best) ? 2 : where;
			best = where == 2 ? below[2 * x] : best;
			where = is_larger(below[2 * x + 1], best) ? 3 : where;
			best = where == 3 ? below[2 * x + 1] : best;
			out[y * pool->out_width + x] = best;
			which[y * pool->out_width + x] = (unsigned char)where;
		}
	}
}

static void pool_one(const struct pool *pool, const float *plane, size_t y, size_t x, float *out,
		     unsigned char *which)
{
	size_t top, bottom, left, right;
	size_t best;

	pool_window(pool, y, pool->height, &top, &bottom);
	pool_window(pool, x, pool->width, &left, &right);
	best = top * pool->width + left;
	*which = 0;
	for (size_t i = top; i < bottom; i++)
		for (size_t j = left; j < right; j++) {
			if (i * pool->width + j == best ||
			    !is_larger(plane[i * pool->width + j], plane[best]))
				continue;
			best = i * pool->width + j;
			*which = (unsigned char)((i - top) * pool->kernel + j - left);
		}
	*out = plane[best];
}

void KERNEL(max_pool)(const struct pool *pool, const float *plane, float *out, unsigned char *which)
{
	if (is_halving(pool)) {
		halve(pool, plane, out, which);
		return;
	}
	for (size_t y = 0; y < pool->out_height; y++)
		for (size_t x = 0; x < pool->out_width; x++)
			pool_one(pool, plane, y, x, out++, which++);
}

static void double_sides(const struct pool *pool, const float *restrict dout,
			 const unsigned char *restrict which, float *restrict din)
{
	if (pool->height % 2 || pool->width % 2)
		memset(din, 0, pool->height * pool->width * sizeof(*din));
	for (size_t y = 0; y < pool->out_height; y++) {
		float *above = din + 2 * y * pool->width, *below = above + pool->width;

		for (size_t x = 0; x < pool->out_width; x++) {
			float slope = dout[y * pool->out_width + x];
			int where = which[y * pool->out_width + x];

			above[2 * x] = where == 0 ? slope : 0;
			above[2 * x + 1] = where == 1 ? slope : 0;
			below[2 * x] = where == 2 ? slope : 0;
			below[2 * x + 1] = where == 3 ? slope : 0;
		}
	}
}

void KERNEL(max_pool_slope)(const struct pool *pool, const float *dout, const unsigned char *which,
			    float *din)
{
	size_t top, bottom, left, right;

	if (is_halving(pool)) {
		double_sides(pool, dout, which, din);
		return;
	}
	memset(din, 0, pool->height * pool->width * sizeof(*din));
	for (size_t y = 0; y < pool->out_height; y++)
		for (size_t x = 0; x < pool->out_width; x++, which++) {
			pool_window(pool, y, pool->height, &top, &bottom);
			pool_window(pool, x, pool->width, &left, &right);
			top += *which / pool->kernel;
			left += *which % pool->kernel;
			din[top * pool->width + left] += *dout++;
		}
}
