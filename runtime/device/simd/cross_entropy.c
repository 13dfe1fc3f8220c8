/* -log softmax(z)[target] of rows, and its derivatives by z. */
#include "runtime/device/cross_entropy.h"
#include "runtime/device/simd/math.h"

static size_t largest_of(const float *z, size_t count)
{
	vec most = vec_all(-INFINITY);
	size_t at = 0;
	float largest;

	for (size_t i = 0; i + WIDTH <= count; i += WIDTH)
		most = vec_max(vec_load(z + i), most);
	largest = vec_largest(most);
	for (size_t i = count - count % WIDTH; i < count; i++)
		largest = z[i] > largest ? z[i] : largest;
	while (at < count && z[at] != largest)
		at++;
	return at < count ? at : 0; /* 0: none is a number */
}

/* The sum of exp(z - shift) but for the one at `best`; the exponentials to e, if that is not NULL.
 * In float for a while, then in double. */
static double sum_of_others(const float *z, float shift, size_t best, float *e, size_t count)
{
	enum { WHILE = 16 * WIDTH };
	double total = 0;

	for (size_t at = 0; at < count; at += WHILE) {
		size_t end = at + WHILE < count ? at + WHILE : count;
		vec sum = { 0 };

		for (size_t i = at; i < end; i += WIDTH) {
			vec x = vec_exp(vec_load_rest(z + i, end - i) - shift);

			if (e)
				vec_store_rest(e + i, x, end - i);
			x = vec_keep(x, end - i);
			if (best - i < WIDTH)
				x[best - i] = 0;
			sum += x;
		}
		total += (double)vec_sum(sum);
	}
	return total;
}

static void multiply(float *x, float factor, size_t count)
{
	for (size_t i = 0; i < count; i += WIDTH)
		vec_store_rest(x + i, vec_load_rest(x + i, count - i) * factor, count - i);
}

void KERNEL(cross_entropy)(const struct cross_entropy *c, double *loss, size_t *correct)
{
	for (size_t row = 0; row < c->rows; row++) {
		const float *z = c->logits + row * c->outputs;
		float *slopes = c->slopes ? c->slopes + row * c->outputs : NULL;
		size_t target = (size_t)c->targets[row], best = largest_of(z, c->outputs);
		double gap = (double)z[best] - z[target];
		double others = sum_of_others(z, z[best], best, slopes, c->outputs);

		*loss += log1p(others) + gap;
		*correct += best == target;
		if (!slopes)
			continue;
		multiply(slopes, (float)(c->scale / (1 + others)), c->outputs);
		if (target == best)
			slopes[target] = (float)(-c->scale * others / (1 + others));
		else
			slopes[target] -= c->scale;
	}
}
