/* Normalising the numbers of one channel that adjoin. */
#include "runtime/device/plane_norm.h"

#include "runtime/device/simd/simd.h"

enum { UNROLL = 4 };

static float across(const vec *sums)
{
	vec sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
	float total = 0;

	for (size_t i = 0; i < WIDTH; i++)
		total += sum[i];
	return total;
}

void KERNEL(plane_moments)(const float *x, size_t count, float *mean, float *squares)
{
	vec sums[UNROLL] = { { 0 } }, parts[UNROLL] = { { 0 } };
	size_t whole = count - count % (UNROLL * WIDTH);
	float sum = 0, part = 0, middle;

	for (size_t i = 0; i < whole; i += UNROLL * WIDTH)
		for (size_t j = 0; j < UNROLL; j++)
			sums[j] += vec_load(x + i + j * WIDTH);
	for (size_t i = whole; i < count; i++)
		sum += x[i];
	middle = (across(sums) + sum) / (float)count;
	for (size_t i = 0; i < whole; i += UNROLL * WIDTH)
		for (size_t j = 0; j < UNROLL; j++) {
			vec away = vec_load(x + i + j * WIDTH) - vec_all(middle);

			parts[j] += away * away;
		}
	for (size_t i = whole; i < count; i++)
		part += (x[i] - middle) * (x[i] - middle);
	*mean = middle;
	*squares = across(parts) + part;
}

void KERNEL(plane_scale)(float *y, const float *x, size_t count, const struct plane_norm *norm)
{
	const struct plane_norm n = *norm;

	for (size_t i = 0; i < count; i++) {
		float z = n.a * (x[i] - n.mean) + n.b;

		y[i] = n.relu && z < 0 ? 0 : z;
	}
}

void KERNEL(plane_sums)(const float *x, const float *dy, size_t count,
			const struct plane_norm *norm, float *sums)
{
	vec first[UNROLL] = { { 0 } }, second[UNROLL] = { { 0 } };
	size_t whole = count - count % (UNROLL * WIDTH);
	const struct plane_norm n = *norm;
	float one = 0, two = 0;

	for (size_t i = 0; i < whole; i += UNROLL * WIDTH)
		for (size_t j = 0; j < UNROLL; j++) {
			vec at = vec_load(x + i + j * WIDTH), slope = vec_load(dy + i + j * WIDTH);

			at -= vec_all(n.mean);
			if (n.relu)
				slope = vec_above(vec_all(n.a) * at + vec_all(n.b), slope);
			first[j] += slope;
			second[j] += slope * at;
		}
	for (size_t i = whole; i < count; i++) {
		float at = x[i] - n.mean, slope = n.relu && !(n.a * at + n.b > 0) ? 0 : dy[i];

		one += slope;
		two += slope * at;
	}
	sums[0] = across(first) + one;
	sums[1] = across(second) + two;
}

void KERNEL(plane_slope)(float *dx, const float *x, const float *dy, size_t count,
			 const struct plane_norm *norm)
{
	const struct plane_norm n = *norm;

	for (size_t i = 0; i < count; i++) {
		float at = x[i] - n.mean, slope = dy[i];

		slope = n.relu && !(n.a * at + n.b > 0) ? 0 : slope;
		dx[i] = n.p * slope + n.q * at + n.r;
	}
}
