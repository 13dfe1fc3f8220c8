/*
 * Functions of vectors, to a few units in the last place of a float; a NaN stays one. Polynomials:
 * expf and tanhf of S. Moshier's Cephes library; that of normal_tail interpolates at Chebyshev
 * nodes, to 3e-8 of its value.
 */
#ifndef DSTRAIN_RUNTIME_MATH_H
#define DSTRAIN_RUNTIME_MATH_H

#include <math.h>

#include "runtime/device/simd/simd.h"

/* As vec_load_part, vec_store_part, for the last step of a loop and all others: `count` is what is
 * left. */
static inline vec vec_load_rest(const float *from, size_t count)
{
	return count < WIDTH ? vec_load_part(from, count) : vec_load(from);
}

static inline void vec_store_rest(float *to, vec x, size_t count)
{
	if (count < WIDTH)
		vec_store_part(to, x, count);
	else
		vec_store(to, x);
}

/* 0 from place `count` on. */
static inline vec vec_keep(vec x, size_t count)
{
	float lanes[WIDTH];

	if (count >= WIDTH)
		return x;
	vec_store(lanes, x);
	return vec_load_part(lanes, count);
}

static inline vec vec_abs(vec x)
{
	return (vec)((vec_mask)x & 0x7fffffff);
}

static inline vec vec_max(vec x, vec y)
{
	return vec_pick(x > y, x, y);
}

/* In an order that depends on WIDTH alone. */
static inline float vec_sum(vec x)
{
#if WIDTH == 16
	return _mm512_reduce_add_ps(x);
#else
	float sum[WIDTH];

	vec_store(sum, x);
	for (int half = WIDTH / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			sum[i] += sum[i + half];
	return sum[0];
#endif
}

static inline float vec_largest(vec x)
{
#if WIDTH == 16
	return _mm512_reduce_max_ps(x);
#else
	float largest = x[0];

	for (int i = 1; i < WIDTH; i++)
		largest = x[i] > largest ? x[i] : largest;
	return largest;
#endif
}

/* 0 below -87.3, where results would be subnormal; the same from 88.3 on, where they end. */
static inline vec vec_exp(vec x)
{
	const float low = -87.3f, high = 88.3f, shift = 0x1.8p23f;
	vec in = vec_pick(x < low, vec_all(low), vec_pick(x > high, vec_all(high), x));
	vec shifted = in * 1.44269504f + shift, power = shifted - shift;
	vec r = in - power * 0.693359375f + power * 2.12194440e-4f, sum = vec_all(1.9875691500e-4f);

	sum = sum * r + 1.3981999507e-3f;
	sum = sum * r + 8.3334519073e-3f;
	sum = sum * r + 4.1665795894e-2f;
	sum = sum * r + 1.6666665459e-1f;
	sum = sum * r + 5.0000001201e-1f;
	sum = sum * r * r + r + 1.0f;
	sum *= (vec)(((vec_mask)shifted << 23) + (127 << 23));
	return vec_pick(x < low, (vec){ 0 }, sum);
}

static inline vec vec_sigmoid(vec x)
{
	vec e = vec_exp(-vec_abs(x));

	return vec_pick(x < 0, e, vec_all(1)) / (1 + e);
}

static inline vec vec_tanh(vec x)
{
	vec size = vec_abs(x), square = x * x, near = vec_all(-5.70498872745e-3f), far;

	near = near * square + 2.06390887954e-2f;
	near = near * square - 5.37397155531e-2f;
	near = near * square + 1.33314422036e-1f;
	near = near * square - 3.33332819422e-1f;
	near = near * square * x + x;
	far = 1 - 2 / (vec_exp(2 * size) + 1);
	far = vec_pick(x < 0, -far, far);
	return vec_pick(size < 0.625f, near, far);
}

/* How probable it is that a normal variable exceeds |x|: erfc(|x| / sqrt(2)) / 2, which is
 * `density` = exp(-x^2 / 2) times a function that falls slowly. */
static inline vec vec_normal_tail(vec x, vec density)
{
	vec t = 1 / (1 + 0.27f * vec_abs(x)), u = 2 * t - 1, sum = vec_all(1.140852868e-4f);

	sum = sum * u - 8.515018507e-5f;
	sum = sum * u - 1.096125306e-3f;
	sum = sum * u - 6.605894632e-4f;
	sum = sum * u + 9.051094299e-3f;
	sum = sum * u + 3.914149606e-2f;
	sum = sum * u + 9.348725272e-2f;
	sum = sum * u + 1.577428701e-1f;
	sum = sum * u + 2.023050780e-1f;
	return density * sum * t;
}

#endif
