/* The loops of convolutions. */
#include "runtime/device/conv_view.h"

#include <string.h>

#include "runtime/device/simd/simd.h"

enum { LANES = CONV_LANES, VECS = LANES / WIDTH };

static inline void copy_floats(float *to, const float *from, size_t count)
{
	size_t i = 0;

	for (; i + WIDTH <= count; i += WIDTH)
		vec_store(to + i, vec_load(from + i));
	for (; i + 4 <= count; i += 4)
		memcpy(to + i, from + i, 4 * sizeof(*to));
	for (; i < count; i++)
		to[i] = from[i];
}

static inline void zero_floats(float *to, size_t count)
{
	size_t i = 0;

	for (; i + WIDTH <= count; i += WIDTH)
		vec_store(to + i, (vec){ 0 });
	for (; i < count; i++)
		to[i] = 0;
}

/* Numbers left, left + step, ... of a row of `width`; zeros outside. */
struct cut {
	size_t before, inside, after; /* numbers of the copy */
	size_t first;		      /* of the row */
};

static struct cut cut_of(const struct conv_view *view, size_t across)
{
	ptrdiff_t left = view->left + (ptrdiff_t)across, step = (ptrdiff_t)view->step;
	ptrdiff_t width = (ptrdiff_t)view->width, pitch = (ptrdiff_t)view->pitch;
	ptrdiff_t before = left < 0 ? (-left + step - 1) / step : 0;
	ptrdiff_t end = width > left ? (width - left + step - 1) / step : 0;

	before = before < pitch ? before : pitch;
	end = end < pitch ? end : pitch;
	end = end > before ? end : before;
	return (struct cut){ .before = (size_t)before,
			     .inside = (size_t)(end - before),
			     .after = (size_t)(pitch - end),
			     .first = (size_t)(left + before * step) };
}

static inline void copy_row(const struct cut *cut, size_t step, const float *row, float *to)
{
	zero_floats(to, cut->before);
	to += cut->before;
	row += cut->first;
	if (step == 1)
		copy_floats(to, row, cut->inside);
	else if (step == 2)
		for (size_t i = 0; i < cut->inside; i++)
			to[i] = row[2 * i];
	else
		for (size_t i = 0; i < cut->inside; i++)
			to[i] = row[step * i];
	zero_floats(to + cut->inside, cut->after);
}

/* [down][across][channel][line][pitch], and LANES zeros */
void KERNEL(conv_copy)(const struct conv_view *view, const float *planes, float *copy)
{
	const struct conv_view v = *view;

	for (size_t copies = 0; copies < v.copies_down * v.copies_across; copies++) {
		struct cut cut = cut_of(&v, copies % v.copies_across);

		for (size_t c = 0; c < v.channels; c++) {
			const float *plane = planes + c * v.height * v.width;
			ptrdiff_t y = v.top + (ptrdiff_t)(copies / v.copies_across);

			for (size_t line = 0; line < v.lines; line++, y += v.row_step) {
				if (y < 0 || y >= (ptrdiff_t)v.height)
					zero_floats(copy, v.pitch);
				else
					copy_row(&cut, v.step, plane + (size_t)y * v.width, copy);
				copy += v.pitch;
			}
		}
	}
	zero_floats(copy, LANES);
}

static inline void store_group(float *to, const vec *x, size_t count)
{
	if (count >= LANES) {
		for (size_t i = 0; i < VECS; i++)
			vec_store(to + i * WIDTH, x[i]);
	} else {
		memcpy(to, x, count * sizeof(*to));
	}
}

/* `block` channels of the pixels of `count` groups, both known when compiled. */
static inline __attribute__((always_inline)) void product_tile(const struct conv_product *p,
							       size_t first, size_t group,
							       const size_t block,
							       const size_t count)
{
	const float *weight = p->weight + first * p->taps;
	const float *at[2] = { NULL };
	vec sum[CONV_BLOCK * 2 * VECS];
	const size_t vecs = count * VECS;

	for (size_t g = 0; g < count; g++)
		at[g] = p->copy + p->group_at[group + g];
#pragma GCC unroll 8
	for (size_t k = 0; k < block; k++)
#pragma GCC unroll 8
		for (size_t v = 0; v < vecs; v++)
			sum[k * vecs + v] = p->bias ? vec_all(p->bias[first + k]) : (vec){ 0 };
	for (size_t t = 0; t < p->taps; t++, weight += block) {
		size_t tap_at = p->tap_at[t];
		vec x[2 * VECS];

#pragma GCC unroll 8
		for (size_t v = 0; v < vecs; v++)
			x[v] = vec_load(at[v / VECS] + tap_at + v % VECS * WIDTH);
#pragma GCC unroll 8
		for (size_t k = 0; k < block; k++) {
			vec w = vec_all(weight[k]);

#pragma GCC unroll 8
			for (size_t v = 0; v < vecs; v++)
				sum[k * vecs + v] += w * x[v];
		}
	}
#pragma GCC unroll 8
	for (size_t k = 0; k < block; k++) {
		if (first + k >= p->channels)
			break;
#pragma GCC unroll 8
		for (size_t v = 0; v < vecs; v++)
			if (p->relu)
				sum[k * vecs + v] = vec_relu(sum[k * vecs + v]);
		for (size_t g = 0; g < count; g++)
			store_group(p->out + (first + k) * p->plane + (group + g) * LANES,
				    sum + k * vecs + g * VECS, p->pixels - (group + g) * LANES);
	}
}

static inline __attribute__((always_inline)) void product_of(const struct conv_product *p,
							     const size_t block)
{
	size_t group = 0;

	for (; group + 2 <= p->groups; group += 2)
		for (size_t k = 0; k < p->channels; k += block)
			product_tile(p, k, group, block, 2);
	for (; group < p->groups; group++)
		for (size_t k = 0; k < p->channels; k += block)
			product_tile(p, k, group, block, 1);
}

void KERNEL(conv_product)(const struct conv_product *product)
{
	switch (product->block) {
	case 1: product_of(product, 1); break;
	case 2: product_of(product, 2); break;
	case 3: product_of(product, 3); break;
	case 4: product_of(product, 4); break;
	case 5: product_of(product, 5); break;
	case 6: product_of(product, 6); break;
	case 7: product_of(product, 7); break;
	default: product_of(product, 8);
	}
}

/* At most LANES channels: turned[pixel][channel], with zeros for what is missing. */
void KERNEL(conv_turn)(const float *planes, size_t plane, size_t channels, size_t pixels,
		       float *turned)
{
	size_t padded = (pixels + LANES - 1) / LANES * LANES;

	for (size_t p = 0; p < pixels; p++, turned += LANES) {
		for (size_t k = 0; k < channels; k++)
			turned[k] = planes[k * plane + p];
		for (size_t k = channels; k < LANES; k++)
			turned[k] = 0;
	}
	zero_floats(turned, (padded - pixels) * LANES);
}

/* WIDTH pixels stay in registers while all taps pass. */
static inline void slope_tile(const struct conv_slope *s, size_t group, size_t pixel, size_t lane)
{
	const float *copy = s->copy + s->group_at[group] + pixel;
	const float *turned = s->turned + (group * LANES + pixel) * LANES + lane;
	vec x[WIDTH], total = vec_load(s->bias + lane);

#pragma GCC unroll 16
	for (size_t i = 0; i < WIDTH; i++) {
		x[i] = vec_load(turned + i * LANES);
		total += x[i];
	}
	vec_store(s->bias + lane, total);
	for (size_t t = 0; t < s->taps; t++) {
		const float *number = copy + s->tap_at[t];
		vec sum = vec_load(s->sum + t * LANES + lane);

#pragma GCC unroll 16
		for (size_t i = 0; i < WIDTH; i++)
			sum += x[i] * vec_all(number[i]);
		vec_store(s->sum + t * LANES + lane, sum);
	}
}

void KERNEL(conv_slope)(const struct conv_slope *slope)
{
	for (size_t group = 0; group < slope->groups; group++)
		for (size_t lane = 0; lane < LANES; lane += WIDTH)
			for (size_t pixel = 0; pixel < LANES; pixel += WIDTH)
				slope_tile(slope, group, pixel, lane);
}
