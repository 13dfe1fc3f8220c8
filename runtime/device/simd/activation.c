/*
 * What stands between layers, and its slopes. gelu: Hendrycks and Gimpel, "Gaussian error linear
 * units", 2016: x times the probability that a normal variable is below x; gelu_tanh: their
 * approximation.
 */
#include "runtime/device/simd/math.h"

static inline vec sigmoid_slope(vec y, vec dy)
{
	return dy * y * (1 - y);
}

static inline vec tanh_slope(vec y, vec dy)
{
	return dy * (1 - y * y);
}

static inline vec below(vec x, vec density)
{
	vec tail = vec_normal_tail(x, density);

	return vec_pick(x > 0, 1 - tail, tail);
}

static inline vec gelu(vec x)
{
	return x * below(x, vec_exp(-0.5f * x * x));
}

static inline vec gelu_slope(vec x, vec dy)
{
	vec density = vec_exp(-0.5f * x * x);

	return dy * (below(x, density) + x * density * 0.398942280f);
}

/* 0.5 (1 + tanh(a)) = sigmoid(2 a), a = sqrt(2 / pi) (x + 0.044715 x^3) */
static inline vec gelu_tanh(vec x)
{
	return x * vec_sigmoid(x * (1.59576912f + 0.0713548163f * x * x));
}

/* s + x s (1 - s) 2 a', and s (1 - s) is e / (1 + e)^2 without a difference of near numbers. */
static inline vec gelu_tanh_slope(vec x, vec dy)
{
	vec a = x * (1.59576912f + 0.0713548163f * x * x);
	vec e = vec_exp(-vec_abs(a)), part = 1 / (1 + e);
	vec s = vec_pick(a < 0, e * part, part);

	return dy * (s + x * e * part * part * (1.59576912f + 0.214064449f * x * x));
}

#define FUNCTION(name, of)                                                                     \
	void KERNEL(name)(float *y, const float *x, size_t count)                              \
	{                                                                                      \
		for (size_t i = 0; i < count; i += WIDTH)                                      \
			vec_store_rest(y + i, of(vec_load_rest(x + i, count - i)), count - i); \
	}

#define SLOPE(name, of)                                                             \
	void KERNEL(name)(float *dx, const float *x, const float *dy, size_t count) \
	{                                                                           \
		for (size_t i = 0; i < count; i += WIDTH)                           \
			vec_store_rest(dx + i,                                      \
				       of(vec_load_rest(x + i, count - i),          \
					  vec_load_rest(dy + i, count - i)),        \
				       count - i);                                  \
	}

FUNCTION(sigmoid, vec_sigmoid)
FUNCTION(tanh, vec_tanh)
FUNCTION(gelu, gelu)
FUNCTION(gelu_tanh, gelu_tanh)
SLOPE(sigmoid_slope, sigmoid_slope)
SLOPE(tanh_slope, tanh_slope)
SLOPE(gelu_slope, gelu_slope)
SLOPE(gelu_tanh_slope, gelu_tanh_slope)
