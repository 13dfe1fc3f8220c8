/* The largest number of each window of a plane, and where it was. */
#include "runtime/device/pool.h"

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
	return x > than || x != x; /* a NaN stays */
}

typedef unsigned char vec_bytes __attribute__((vector_size(WIDTH)));

#if WIDTH == 16
#define VEC_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define VEC_ODD	 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif WIDTH == 8
#define VEC_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define VEC_ODD	 1, 3, 5, 7, 9, 11, 13, 15
#else
#define VEC_EVEN 0, 2, 4, 6
#define VEC_ODD	 1, 3, 5, 7
#endif

/* 2 x count numbers of a row: those of even and of odd columns. */
INLINE void load_pairs(const float *row, size_t count, vec *even, vec *odd)
{
	size_t first = 2 * count < WIDTH ? 2 * count : WIDTH;
	vec low = vec_load_part(row, first), high = { 0 };

	if (2 * count > WIDTH)
		high = vec_load_part(row + WIDTH, 2 * count - WIDTH);
	*even = __builtin_shufflevector(low, high, VEC_EVEN);
	*odd = __builtin_shufflevector(low, high, VEC_ODD);
}

INLINE void store_pairs(float *row, size_t count, vec even, vec odd)
{
	size_t first = 2 * count < WIDTH ? 2 * count : WIDTH;

	vec_store_part(row, __builtin_shufflevector(even, odd, VEC_LOW), first);
	if (2 * count > WIDTH)
		vec_store_part(row + WIDTH, __builtin_shufflevector(even, odd, VEC_HIGH),
			       2 * count - WIDTH);
}

/* What is larger takes the place of the best, and notes its number. */
INLINE void take_larger(vec x, int number, vec *best, vec_mask *where)
{
	vec_mask larger = (x > *best) | (x != x);

	*best = vec_pick(larger, x, *best);
	*where = (larger & number) | (~larger & *where);
}

static void halve(const struct pool *pool, const float *plane, float *out, unsigned char *which)
{
	for (size_t y = 0; y < pool->out_height; y++) {
		const float *above = plane + 2 * y * pool->width, *below = above + pool->width;

		for (size_t x = 0, count; x < pool->out_width; x += count) {
			vec best, right, left_below, right_below;
			vec_mask where = { 0 };
			vec_bytes bytes;

			count = pool->out_width - x < WIDTH ? pool->out_width - x : WIDTH;
			load_pairs(above + 2 * x, count, &best, &right);
			load_pairs(below + 2 * x, count, &left_below, &right_below);
			take_larger(right, 1, &best, &where);
			take_larger(left_below, 2, &best, &where);
			take_larger(right_below, 3, &best, &where);
			bytes = __builtin_convertvector(where, vec_bytes);
			vec_store_part(out, best, count);
			memcpy(which, &bytes, count);
			out += count;
			which += count;
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

static void double_sides(const struct pool *pool, const float *dout, const unsigned char *which,
			 float *din)
{
	if (pool->height % 2 || pool->width % 2)
		memset(din, 0, pool->height * pool->width * sizeof(*din));
	for (size_t y = 0; y < pool->out_height; y++) {
		float *above = din + 2 * y * pool->width, *below = above + pool->width;

		for (size_t x = 0, count; x < pool->out_width; x += count) {
			vec_bytes bytes = { 0 };
			vec_mask where;
			vec slope, zero = { 0 };

			count = pool->out_width - x < WIDTH ? pool->out_width - x : WIDTH;
			memcpy(&bytes, which, count);
			where = __builtin_convertvector(bytes, vec_mask);
			slope = vec_load_part(dout, count);
			store_pairs(above + 2 * x, count, vec_pick(where == 0, slope, zero),
				    vec_pick(where == 1, slope, zero));
			store_pairs(below + 2 * x, count, vec_pick(where == 2, slope, zero),
				    vec_pick(where == 3, slope, zero));
			dout += count;
			which += count;
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
