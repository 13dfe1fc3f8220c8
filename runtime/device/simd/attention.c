/*
 * Attention of one head: small products of matrices that fit into the second cache. Everything is
 * copied first, padded with zeros, so that products need no ragged edges.
 */
#include "runtime/device/attention.h"

#include <string.h>

#include "runtime/device/simd/math.h"

/* Queries of a block; positions and widths are padded to multiples of it and of half of it. */
enum { BLOCK = ATTENTION_BLOCK, TILE = WIDTH == 16 ? 8 : 4, PANEL = 2 * WIDTH };

static size_t padded(size_t count, size_t unit)
{
	return (count + unit - 1) / unit * unit;
}

/* C[m][n] = A[m][k] B[k][n] (+ C). Element (i, j) of A lies at i * a_m + j * a_k; of B at
 * j * b_n + i * b_k within a panel of PANEL columns. */
struct product {
	size_t m, n, k;
	const float *a;
	size_t a_m, a_k;
	const float *b;
	size_t b_k, b_n;
	float *c;
	size_t c_m;
	bool add;
};

INLINE void tile(const struct product *p, size_t a_m, size_t a_k, size_t vectors, size_t i,
		 size_t j)
{
	const float *a = p->a + i * a_m, *b = p->b + j * p->b_n;
	float *c = p->c + i * p->c_m + j;
	vec sum[TILE][2];

	UNROLLED (r, TILE)
		for (size_t v = 0; v < vectors; v++)
			sum[r][v] = p->add ? vec_load(c + r * p->c_m + v * WIDTH) : (vec){ 0 };
	for (size_t k = 0; k < p->k; k++, b += p->b_k) {
		vec x0 = vec_load(b), x1 = vectors > 1 ? vec_load(b + WIDTH) : x0;

		UNROLLED (r, TILE) {
			vec s = vec_all(a[r * a_m + k * a_k]);

			sum[r][0] += s * x0;
			if (vectors > 1)
				sum[r][1] += s * x1;
		}
	}
	UNROLLED (r, TILE)
		for (size_t v = 0; v < vectors; v++)
			vec_store(c + r * p->c_m + v * WIDTH, sum[r][v]);
}

INLINE void tiles(const struct product *p, size_t a_m, size_t a_k)
{
	for (size_t j = 0; j < p->n; j += PANEL)
		for (size_t i = 0; i < p->m; i += TILE)
			if (p->n - j >= PANEL)
				tile(p, a_m, a_k, 2, i, j);
			else
				tile(p, a_m, a_k, 1, i, j);
}

static void multiply(const struct product *p)
{
	if (p->a_k == 1)
		tiles(p, p->a_m, 1);
	else
		tiles(p, 1, p->a_k);
}

/* The arrays of one call. Rows of scores are a little longer than they need be, so that those of
 * long sequences do not all begin in the same place of the cache. */
struct room {
	size_t positions, width, scores_step;
	float *q, *dy, *y, *dq;	    /* of a block */
	float *scores, *slopes;	    /* [BLOCK][scores_step] */
	float *k_panels, *v_panels; /* [positions / PANEL][width][PANEL] */
	float *k, *v, *dk, *dv;	    /* [positions][width] */
};

static float *take(float **room, size_t count)
{
	float *taken = *room;

	*room += count;
	return taken;
}

static struct room lay_out(const struct attention *a)
{
	float *free = a->room;
	struct room r = { .positions = padded(a->positions, BLOCK),
			  .width = padded(a->width, BLOCK / 2) };
	size_t block = BLOCK * r.width, all = r.positions * r.width;

	r.scores_step = r.positions + BLOCK / 2;
	r.q = take(&free, block);
	r.dy = take(&free, block);
	r.y = r.dq = take(&free, block);
	r.scores = take(&free, BLOCK * r.scores_step);
	r.slopes = take(&free, BLOCK * r.scores_step);
	r.k_panels = take(&free, all);
	r.v_panels = take(&free, all);
	r.k = take(&free, all);
	r.v = r.dk = take(&free, all);
	r.dv = take(&free, all);
	return r;
}

/* Rows [first, first + rows) of a matrix of `count` rows, times a factor. */
static void copy_rows(float *to, size_t to_width, const float *from, size_t step, size_t width,
		      size_t first, size_t rows, size_t count, float factor)
{
	for (size_t i = 0; i < rows; i++, to += to_width) {
		const float *row = from + (first + i) * step;
		size_t there = first + i < count ? width : 0;

		for (size_t j = 0; j < to_width; j += WIDTH) {
			vec x = { 0 };

			if (j < there)
				x = vec_load_rest(row + j, there - j) * factor;
			vec_store(to + j, x);
		}
	}
}

/* Columns of B from the rows of its transposed. */
static void make_panels(const struct room *r, float *panels, const float *rows)
{
	for (size_t at = 0; at < r->positions; at += WIDTH)
		for (size_t j = 0; j < r->width; j += WIDTH) {
			float *to = panels + at / PANEL * PANEL * r->width + j * PANEL + at % PANEL;
			vec x[WIDTH];

			for (size_t i = 0; i < WIDTH; i++)
				x[i] = vec_load(rows + (at + i) * r->width + j);
			vec_transpose(x);
			for (size_t i = 0; i < WIDTH; i++)
				vec_store(to + i * PANEL, x[i]);
		}
}

/* A block of rows against all positions up to `seen`, of which panels are given. */
static void against_all(const struct room *r, const float *block, const float *panels, float *out,
			size_t seen)
{
	multiply(&(struct product){ .m = BLOCK,
				    .n = seen,
				    .k = r->width,
				    .a = block,
				    .a_m = r->width,
				    .a_k = 1,
				    .b = panels,
				    .b_k = PANEL,
				    .b_n = r->width,
				    .c = out,
				    .c_m = r->scores_step });
}

/* Sums of rows of `from`, weighted by each row of scores. */
static void sum_seen(const struct room *r, const float *scores, const float *from, float *out,
		     size_t seen)
{
	multiply(&(struct product){ .m = BLOCK,
				    .n = r->width,
				    .k = seen,
				    .a = scores,
				    .a_m = r->scores_step,
				    .a_k = 1,
				    .b = from,
				    .b_k = r->width,
				    .b_n = 1,
				    .c = out,
				    .c_m = r->width });
}

/* The same by each column of scores, added to what is there. */
static void add_to_seen(const struct room *r, const float *scores, const float *block, float *out,
			size_t seen)
{
	multiply(&(struct product){ .m = seen,
				    .n = r->width,
				    .k = BLOCK,
				    .a = scores,
				    .a_m = 1,
				    .a_k = r->scores_step,
				    .b = block,
				    .b_k = r->width,
				    .b_n = 1,
				    .c = out,
				    .c_m = r->width,
				    .add = true });
}

/* How many positions a query sees. */
static size_t sight(const struct attention *a, size_t query)
{
	return a->causal ? query + 1 : a->positions;
}

/* From `count` to `seen` nothing is seen: its exponential is 0. Whatever the count, the loops below
 * go to `seen`, so that those of all queries of a block are as long. */
static void hide(float *row, size_t count, size_t seen)
{
	vec_mask place = { 0 };

	for (int i = 0; i < WIDTH; i++)
		place[i] = i;
	for (size_t j = count / WIDTH * WIDTH; j < seen; j += WIDTH) {
		vec_mask there = place < (int)count - (int)j;

		vec_store(row + j, vec_pick(there, vec_load(row + j), vec_all(-INFINITY)));
	}
}

/* Scores become exponentials of their distance from the largest. */
static void exponentials(float *row, size_t count, size_t seen, float *norm)
{
	vec most = vec_all(-INFINITY), total = { 0 };
	float largest;

	hide(row, count, seen);
	for (size_t j = 0; j < seen; j += WIDTH)
		most = vec_max(vec_load(row + j), most);
	largest = vec_largest(most);
	for (size_t j = 0; j < seen; j += WIDTH) {
		vec e = vec_exp(vec_load(row + j) - largest);

		vec_store(row + j, e);
		total += e;
	}
	norm[0] = largest;
	norm[1] = 1 / vec_sum(total);
}

static void attend(const struct attention *a, const struct room *r, size_t first, size_t seen)
{
	float *norm = a->norm + 2 * first;

	against_all(r, r->q, r->k_panels, r->scores, seen);
	for (size_t i = 0; i < BLOCK && first + i < a->positions; i++)
		exponentials(r->scores + i * r->scores_step, sight(a, first + i), seen,
			     norm + 2 * i);
	sum_seen(r, r->scores, r->v, r->y, seen);
	for (size_t i = 0; i < BLOCK && first + i < a->positions; i++) {
		float *to = a->y + (first + i) * a->y_step;

		for (size_t j = 0; j < a->width; j += WIDTH)
			vec_store_rest(to + j, vec_load(r->y + i * r->width + j) * norm[2 * i + 1],
				       a->width - j);
	}
}

static float factor(const struct attention *a)
{
	return 1 / sqrtf((float)a->width);
}

void KERNEL(attention)(const struct attention *a)
{
	struct room r = lay_out(a);
	size_t all = r.positions;

	copy_rows(r.k, r.width, a->k, a->step, a->width, 0, all, a->positions, 1);
	copy_rows(r.v, r.width, a->v, a->step, a->width, 0, all, a->positions, 1);
	make_panels(&r, r.k_panels, r.k);
	for (size_t first = 0; first < all; first += BLOCK) {
		copy_rows(r.q, r.width, a->q, a->step, a->width, first, BLOCK, a->positions,
			  factor(a));
		attend(a, &r, first, a->causal ? first + BLOCK : all);
	}
}

/* Scores become probabilities p, and the derivatives by those become derivatives by scores:
 * ds = p (dp - the sum of p dp) */
static void score_slopes(float *p, float *dp, const float *norm, size_t count, size_t seen)
{
	vec total = { 0 };
	float sum;

	hide(p, count, seen);
	for (size_t j = 0; j < seen; j += WIDTH) {
		vec e = vec_exp(vec_load(p + j) - norm[0]) * norm[1];

		vec_store(p + j, e);
		total += e * vec_load(dp + j);
	}
	sum = vec_sum(total);
	for (size_t j = 0; j < seen; j += WIDTH)
		vec_store(dp + j, vec_load(p + j) * (vec_load(dp + j) - sum));
}

static void attend_back(const struct attention *a, const struct room *r, size_t first, size_t seen)
{
	against_all(r, r->q, r->k_panels, r->scores, seen);
	against_all(r, r->dy, r->v_panels, r->slopes, seen);
	for (size_t i = 0; i < BLOCK; i++) {
		static const float nothing[2] = { 0, 0 };
		bool there = first + i < a->positions;

		score_slopes(r->scores + i * r->scores_step, r->slopes + i * r->scores_step,
			     there ? a->norm + 2 * (first + i) : nothing,
			     there ? sight(a, first + i) : 0, seen);
	}
	sum_seen(r, r->slopes, r->k, r->dq, seen);
	add_to_seen(r, r->slopes, r->q, r->dk, seen);
	add_to_seen(r, r->scores, r->dy, r->dv, seen);
}

static void write_rows(const struct attention *a, const struct room *r, const float *from,
		       float *to, size_t first, size_t rows, float by)
{
	for (size_t i = 0; i < rows && first + i < a->positions; i++)
		for (size_t j = 0; j < a->width; j += WIDTH)
			vec_store_rest(to + (first + i) * a->step + j,
				       vec_load(from + i * r->width + j) * by, a->width - j);
}

void KERNEL(attention_slopes)(const struct attention *a)
{
	struct room r = lay_out(a);
	size_t all = r.positions, bytes = all * r.width * sizeof(float);

	copy_rows(r.v, r.width, a->v, a->step, a->width, 0, all, a->positions, 1);
	make_panels(&r, r.v_panels, r.v);
	copy_rows(r.k, r.width, a->k, a->step, a->width, 0, all, a->positions, 1);
	make_panels(&r, r.k_panels, r.k);
	memset(r.dk, 0, bytes);
	memset(r.dv, 0, bytes);
	for (size_t first = 0; first < all; first += BLOCK) {
		copy_rows(r.q, r.width, a->q, a->step, a->width, first, BLOCK, a->positions,
			  factor(a));
		copy_rows(r.dy, r.width, a->dy, a->y_step, a->width, first, BLOCK, a->positions, 1);
		attend_back(a, &r, first, a->causal ? first + BLOCK : all);
		write_rows(a, &r, r.dq, a->dq, first, BLOCK, factor(a));
	}
	write_rows(a, &r, r.dk, a->dk, 0, all, 1);
	write_rows(a, &r, r.dv, a->dv, 0, all, 1);
}
