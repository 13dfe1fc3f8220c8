/* The loops of convolutions. */
#include "runtime/device/conv_view.h"

#include "runtime/device/simd/simd.h"

enum { LANES = CONV_LANES, VECS = LANES / WIDTH, TAPS_AT_ONCE = 192 };

/* Lanes [first, end) of WIDTH; 0 in the others, which are not read. */
INLINE vec load_lanes(const float *from, size_t first, size_t end)
{
#if WIDTH == 16
	return _mm512_maskz_loadu_ps((__mmask16)((1u << end) - (1u << first)), from);
#else
	float lanes[WIDTH] = { 0 };

	if (first == 0 && end == WIDTH)
		return vec_load(from);
	for (size_t i = first; i < end; i++)
		lanes[i] = from[i];
	return vec_load(lanes);
#endif
}

/* Of WIDTH columns that begin at `at`, those inside [0, width). */
struct inside {
	size_t first, end;
};

static struct inside inside_of(ptrdiff_t at, size_t width)
{
	ptrdiff_t first = at < 0 ? -at : 0, end = (ptrdiff_t)width - at;

	first = first < WIDTH ? first : WIDTH;
	end = end < WIDTH ? end : WIDTH;
	return (struct inside){ (size_t)first, (size_t)(end > first ? end : first) };
}

#if WIDTH == 16
#define VEC_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#elif WIDTH == 8
#define VEC_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#else
#define VEC_EVEN 0, 2, 4, 6
#endif

/* Numbers at, at + step, ... of a row of `width`; zeros outside. */
INLINE vec load_steps(const float *row, ptrdiff_t at, size_t step, size_t width)
{
	vec x = { 0 };

	for (ptrdiff_t i = 0; i < WIDTH; i++, at += (ptrdiff_t)step)
		if (at >= 0 && at < (ptrdiff_t)width)
			x[i] = row[at];
	return x;
}

/* WIDTH numbers of every line of a copy, from its column x. */
INLINE void copy_column(const struct conv_view *v, const float *planes, ptrdiff_t top,
			ptrdiff_t left, const size_t step, size_t x, float *copy)
{
	ptrdiff_t at = left + (ptrdiff_t)(x * v->step);
	size_t count = v->pitch - x < WIDTH ? v->pitch - x : WIDTH;
	struct inside low = inside_of(at, v->width), high = inside_of(at + WIDTH, v->width);

	copy += x;
	for (size_t c = 0; c < v->channels; c++, planes += v->height * v->width) {
		ptrdiff_t y = top;

		for (size_t line = 0; line < v->lines; line++, y += v->row_step, copy += v->pitch) {
			const float *row = planes + y * (ptrdiff_t)v->width;
			vec z = { 0 };

			if (y >= 0 && y < (ptrdiff_t)v->height) {
				if (step == 1)
					z = load_lanes(row + at, low.first, low.end);
				else if (step == 2)
					z = __builtin_shufflevector(
						load_lanes(row + at, low.first, low.end),
						load_lanes(row + at + WIDTH, high.first, high.end),
						VEC_EVEN);
				else
					z = load_steps(row, at, v->step, v->width);
			}
			if (count == WIDTH)
				vec_store(copy, z);
			else
				vec_store_part(copy, z, count);
		}
	}
}

/* [down][across][channel][line][pitch], and LANES zeros */
void KERNEL(conv_copy)(const struct conv_view *view, const float *planes, float *copy)
{
	const struct conv_view v = *view;

	for (size_t i = 0; i < v.copies_down * v.copies_across; i++) {
		ptrdiff_t top = v.top + (ptrdiff_t)(i / v.copies_across);
		ptrdiff_t left = v.left + (ptrdiff_t)(i % v.copies_across);

		for (size_t x = 0; x < v.pitch; x += WIDTH) {
			if (v.step == 1)
				copy_column(&v, planes, top, left, 1, x, copy);
			else if (v.step == 2)
				copy_column(&v, planes, top, left, 2, x, copy);
			else
				copy_column(&v, planes, top, left, 0, x, copy);
		}
		copy += v.channels * v.lines * v.pitch;
	}
	for (size_t i = 0; i < LANES; i += WIDTH)
		vec_store(copy + i, (vec){ 0 });
}

INLINE void store_group(float *to, const vec *x, size_t count)
{
	UNROLLED (i, VECS) {
		if (count >= (i + 1) * WIDTH)
			vec_store(to + i * WIDTH, x[i]);
		else if (count > i * WIDTH)
			vec_store_part(to + i * WIDTH, x[i], count - i * WIDTH);
	}
}

/* Those behind the last channel are of no use. */
INLINE void end_channel(const struct conv_product *p, size_t channel, size_t group, vec *sum,
			const size_t count)
{
	if (channel >= p->channels)
		return;
	UNROLLED (v, count * VECS) {
		if (p->relu)
			sum[v] = vec_relu(sum[v]);
	}
	UNROLLED (g, count) {
		store_group(p->out + channel * p->plane + (group + g) * LANES, sum + g * VECS,
			    p->pixels - (group + g) * LANES);
	}
}

/* `block` channels of the pixels of `count` groups, both known when compiled. */
INLINE void product_tile(const struct conv_product *p, size_t first, size_t group,
			 const size_t block, const size_t count)
{
	const float *weight = p->weight + first * p->taps;
	const float *at[2] = { p->copy + p->group_at[group],
			       p->copy + p->group_at[group + count - 1] };
	vec sum[CONV_BLOCK * 2 * VECS];
	const size_t vecs = count * VECS;

	UNROLLED (k, block) {
		UNROLLED (v, vecs) {
			sum[k * vecs + v] = p->bias ? vec_all(p->bias[first + k]) : (vec){ 0 };
		}
	}
	for (size_t t = 0; t < p->taps; t++, weight += block) {
		size_t tap_at = p->tap_at[t];
		vec x[2 * VECS];

		UNROLLED (v, vecs) {
			x[v] = vec_load(at[v / VECS] + tap_at + v % VECS * WIDTH);
		}
		UNROLLED (k, block) {
			vec w = vec_all(weight[k]);

			UNROLLED (v, vecs) {
				sum[k * vecs + v] += w * x[v];
			}
		}
	}
	UNROLLED (k, block) {
		end_channel(p, first + k, group, sum + k * vecs, count);
	}
}

INLINE void product_of(const struct conv_product *p, const size_t block)
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

/* turned[pixel][lane], with zeros for what is missing. */
void KERNEL(conv_turn)(const float *planes, size_t plane, size_t channels, size_t pixels,
		       float *turned, size_t lanes)
{
	size_t padded = (pixels + LANES - 1) / LANES * LANES;

	for (size_t p = 0; p < padded; p += WIDTH)
		for (size_t k = 0; k < lanes; k += WIDTH) {
			size_t left = pixels > p ? pixels - p : 0;
			vec x[WIDTH];

			UNROLLED (i, WIDTH) {
				const float *from = planes + (k + i) * plane + p;

				if (k + i >= channels)
					x[i] = (vec){ 0 };
				else if (left >= WIDTH)
					x[i] = vec_load(from);
				else
					x[i] = vec_load_part(from, left);
			}
			vec_transpose(x);
			UNROLLED (i, WIDTH) {
				vec_store(turned + (p + i) * lanes + k, x[i]);
			}
		}
}

/* `vecs` vectors of lanes of a few pixels stay in registers while the taps pass; several sums for
 * each vector, as one would wait for itself. */
INLINE void slope_tile(const struct conv_slope *s, size_t pixel, size_t lane, size_t first,
		       size_t end, const size_t vecs)
{
	enum { CHAINS = 4 };
	const float *copy = s->copy + s->group_at[pixel / LANES] + pixel % LANES;
	const float *turned = s->turned + pixel * s->lanes + lane;
	const size_t pixels = WIDTH / vecs, chains = CHAINS / vecs;
	vec x[WIDTH];

	UNROLLED (i, WIDTH) {
		x[i] = vec_load(turned + i / vecs * s->lanes + i % vecs * WIDTH);
	}
	for (size_t t = first; t < end; t++) {
		const float *number = copy + s->tap_at[t];
		float *sum = s->sum + t * s->lanes + lane;
		vec total[CHAINS];

		UNROLLED (v, vecs) {
			total[v] = vec_load(sum + v * WIDTH);
		}
		UNROLLED (i, pixels) {
			vec y = vec_all(number[i]);

			UNROLLED (v, vecs) {
				if (i == 0 || i >= chains)
					total[i % chains * vecs + v] += x[i * vecs + v] * y;
				else
					total[i * vecs + v] = x[i * vecs + v] * y;
			}
		}
		UNROLLED (v, vecs) {
			vec all = total[v];

			UNROLLED (i, chains) {
				if (i > 0)
					all += total[i * vecs + v];
			}
			vec_store(sum + v * WIDTH, all);
		}
	}
}

INLINE void slope_taps(const struct conv_slope *s, size_t first, size_t end, const size_t vecs)
{
	for (size_t pixel = 0; pixel < s->groups * LANES; pixel += WIDTH / vecs)
		for (size_t lane = 0; lane < s->lanes; lane += vecs * WIDTH)
			slope_tile(s, pixel, lane, first, end, vecs);
}

static void add_bias(const struct conv_slope *s)
{
	for (size_t lane = 0; lane < s->lanes; lane += WIDTH) {
		vec sum = vec_load(s->bias + lane);

		for (size_t p = 0; p < s->groups * LANES; p++)
			sum += vec_load(s->turned + p * s->lanes + lane);
		vec_store(s->bias + lane, sum);
	}
}

/* As many taps at once as the first cache holds. */
void KERNEL(conv_slope)(const struct conv_slope *slope)
{
	size_t most = TAPS_AT_ONCE * LANES / slope->lanes;

	for (size_t first = 0; first < slope->taps; first += most) {
		size_t left = slope->taps - first, end = first + (left < most ? left : most);

		if (slope->lanes >= 2 * WIDTH)
			slope_taps(slope, first, end, 2);
		else
			slope_taps(slope, first, end, 1);
	}
	if (slope->bias)
		add_bias(slope);
}
