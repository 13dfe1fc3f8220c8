/* Normalisation of rows: Ba, Kiros and Hinton, "Layer normalization", 2016. */
#include "runtime/device/norm.h"
#include "runtime/device/simd/math.h"

static float mean_of(const float *x, size_t count)
{
	vec sum = { 0 };

	for (size_t i = 0; i < count; i += WIDTH)
		sum += vec_load_rest(x + i, count - i);
	return vec_sum(sum) / (float)count;
}

static float variance_of(const float *x, float mean, size_t count)
{
	vec sum = { 0 };

	for (size_t i = 0; i < count; i += WIDTH) {
		vec off = vec_keep(vec_load_rest(x + i, count - i) - mean, count - i);

		sum += off * off;
	}
	return vec_sum(sum) / (float)count;
}

void KERNEL(norm_rows)(const struct norm_rows *n)
{
	size_t count = n->count;

	for (size_t row = 0; row < n->rows; row++) {
		const float *x = n->x + row * count;
		float *y = n->y + row * count, mean = mean_of(x, count);
		float scale = 1 / sqrtf(variance_of(x, mean, count) + n->epsilon);

		n->stats[2 * row] = mean;
		n->stats[2 * row + 1] = scale;
		for (size_t i = 0; i < count; i += WIDTH) {
			vec z = (vec_load_rest(x + i, count - i) - mean) * scale;

			vec_store_rest(y + i,
				       z * vec_load_rest(n->weight + i, count - i) +
					       vec_load_rest(n->bias + i, count - i),
				       count - i);
		}
	}
}

/* dx = scale (g - mean(g) - z mean(g z)), g being dy weight and z what was normalised */
static void row_slopes(const struct norm_slopes *n, const float *x, float mean, float scale,
		       const float *dy, float *dx)
{
	vec sum = { 0 }, sum_z = { 0 };
	float mean_g, mean_gz;
	size_t count = n->count;

	for (size_t i = 0; i < count; i += WIDTH) {
		size_t rest = count - i;
		vec z = (vec_load_rest(x + i, rest) - mean) * scale,
		    d = vec_load_rest(dy + i, rest);
		vec g = d * vec_load_rest(n->weight + i, rest);

		sum += g;
		sum_z += g * z;
		vec_store_rest(n->dweight + i, vec_load_rest(n->dweight + i, rest) + d * z, rest);
		vec_store_rest(n->dbias + i, vec_load_rest(n->dbias + i, rest) + d, rest);
	}
	if (!dx)
		return;
	mean_g = vec_sum(sum) / (float)count;
	mean_gz = vec_sum(sum_z) / (float)count;
	for (size_t i = 0; i < count; i += WIDTH) {
		size_t rest = count - i;
		vec z = (vec_load_rest(x + i, rest) - mean) * scale;
		vec g = vec_load_rest(dy + i, rest) * vec_load_rest(n->weight + i, rest);

		vec_store_rest(dx + i, scale * (g - mean_g - z * mean_gz), rest);
	}
}

void KERNEL(norm_rows_slopes)(const struct norm_slopes *n)
{
	for (size_t row = 0; row < n->rows; row++)
		row_slopes(n, n->x + row * n->count, n->stats[2 * row], n->stats[2 * row + 1],
			   n->dy + row * n->count, n->dx ? n->dx + row * n->count : NULL);
}
