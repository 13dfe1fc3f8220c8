/* Optimizer steps: one pass over weights, gradients and what is remembered of them. */
#include <math.h>

#include "runtime/device/optim_step.h"
#include "runtime/device/simd/simd.h"

enum { LANES = 16, BLOCK = 1024 };

/* Sixteen sums over every sixteenth element, then those from first to last. Squares of floats are
 * exact in doubles, so that every instruction set gives the same. */
double KERNEL(sum_squares)(const float *x, size_t count)
{
	double lane[LANES] = { 0 }, sum = 0;
	size_t whole = count - count % LANES;

	for (size_t i = 0; i < whole; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			lane[j] += (double)x[i + j] * x[i + j];
	for (size_t i = whole; i < count; i++)
		lane[i - whole] += (double)x[i] * x[i];
	for (size_t j = 0; j < LANES; j++)
		sum += lane[j];
	return sum;
}

void KERNEL(sgd)(const struct sgd_step *step, float *restrict w, const float *restrict grad,
		 size_t count)
{
	const struct sgd_step s = *step;

	for (size_t i = 0; i < count; i++)
		w[i] -= s.lr * (s.scale * grad[i] + s.decay * w[i]);
}

void KERNEL(sgd_momentum)(const struct sgd_step *step, float *restrict w, float *restrict velocity,
			  const float *restrict grad, size_t count)
{
	const struct sgd_step s = *step;

	for (size_t i = 0; i < count; i++) {
		float g = s.scale * grad[i] + s.decay * w[i];
		float v = s.momentum * velocity[i] + s.rest * g;

		velocity[i] = v;
		w[i] -= s.lr * (s.of_gradient * g + s.of_velocity * v);
	}
}

void KERNEL(adam)(const struct adam_step *step, float *restrict w, float *restrict mean,
		  float *restrict square, const float *restrict grad, size_t count)
{
	const struct adam_step s = *step;

	for (size_t i = 0; i < count; i++) {
		float g = s.scale * grad[i] + s.decay * w[i];
		float m = s.beta1 * mean[i] + s.rest1 * g;
		float v = s.beta2 * square[i] + s.rest2 * g * g;

		mean[i] = m;
		square[i] = v;
		w[i] = s.shrink * w[i] - s.lr * m / (sqrtf(v) + s.eps);
	}
}

void KERNEL(adagrad)(const struct adagrad_step *step, float *restrict w, float *restrict sum,
		     const float *restrict grad, size_t count)
{
	const struct adagrad_step s = *step;

	for (size_t i = 0; i < count; i++) {
		float g = s.scale * grad[i] + s.decay * w[i];
		float v = s.initial + sum[i] + g * g;

		sum[i] = v;
		w[i] -= s.lr * g / (sqrtf(v) + s.eps);
	}
}

static inline float direction(const struct lamb_step *s, float w, float mean, float square)
{
	return s->correction * mean / (sqrtf(square) + s->eps) + s->decay * w;
}

static void lamb_block(const struct lamb_step *step, const float *restrict w, float *restrict mean,
		       float *restrict square, const float *restrict grad, size_t count,
		       float *restrict to)
{
	const struct lamb_step s = *step;

	for (size_t i = 0; i < count; i++) {
		float g = s.scale * grad[i];
		float m = s.beta1 * mean[i] + s.rest1 * g;
		float v = s.beta2 * square[i] + s.rest2 * g * g;

		mean[i] = m;
		square[i] = v;
		to[i] = direction(&s, w[i], m, v);
	}
}

/* Adds the squares of weights and direction to sums[0] and sums[1]. */
void KERNEL(lamb_measure)(const struct lamb_step *step, const float *w, float *mean, float *square,
			  const float *grad, size_t count, double *sums)
{
	float to[BLOCK];

	for (size_t at = 0, length; at < count; at += length) {
		length = count - at < BLOCK ? count - at : BLOCK;
		lamb_block(step, w + at, mean + at, square + at, grad + at, length, to);
		sums[0] += KERNEL(sum_squares)(w + at, length);
		sums[1] += KERNEL(sum_squares)(to, length);
	}
}

void KERNEL(lamb)(const struct lamb_step *step, float *restrict w, const float *restrict mean,
		  const float *restrict square, size_t count)
{
	const struct lamb_step s = *step;

	for (size_t i = 0; i < count; i++)
		w[i] -= s.lr * direction(&s, w[i], mean[i], square[i]);
}
