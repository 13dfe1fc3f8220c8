/*
 * Matrix products. A tile of the result stays in registers while rows of V and single elements of
 * S are multiplied into it. Tiles read V from panels as wide as they are, that stay in the second
 * cache, and S as it is. Every sum is added in the order of k, in registers and then block by
 * block.
 */
#include "runtime/device/simd/simd.h"

#include <stdbool.h>

#include "runtime/device/gemm.h"

/* So many sums, with a row of V and an element of S, fill the registers. */
enum { ROWS = WIDTH == 16 ? 14 : 6, COLUMNS = 2 * WIDTH };
_Static_assert(GEMM_COLUMNS % COLUMNS == 0, "parts consist of whole tiles");

/* Steps of k at once, where those of S adjoin and where each is on a page of its own, and floats of
 * V: so that both stay in the second cache. */
enum { MOST_ADJOINING = 512, MOST_SCATTERED = 256, MOST_BLOCK = 1 << 17 };
enum { LINE = 16 }; /* floats that the processor fetches at once */

/* One block of k of one tile. */
struct tile {
	size_t k;
	const float *s, *v;
	size_t s_y, s_k, v_k;
	float *panel; /* of V: [k][COLUMNS] */
	float *c;
	size_t c_y, c_x;
	size_t rows, columns;
	float beta;
	const float *bias; /* of this tile */
	bool relu;
	const float *ahead; /* of S, what is needed soon is fetched meanwhile */
	size_t ahead_step;
};

static inline size_t at_most(size_t x, size_t most)
{
	return x < most ? x : most;
}

/* `count` adjoining elements of C from their sums. */
INLINE void end_vec(const struct tile *t, float *c, vec sum, const float *bias, size_t count)
{
	if (t->beta != 0)
		sum += vec_all(t->beta) * vec_load_part(c, count);
	if (bias)
		sum += vec_load_part(bias, count);
	if (t->relu)
		sum = vec_pick(sum < 0, (vec){ 0 }, sum);
	vec_store_part(c, sum, count);
}

static void end_rows(const struct tile *t, float (*sum)[COLUMNS])
{
	for (size_t i = 0; i < t->rows; i++)
		for (size_t j = 0; j < t->columns; j += WIDTH)
			end_vec(t, t->c + i * t->c_y + j, vec_load(sum[i] + j),
				t->bias ? t->bias + j : NULL, at_most(t->columns - j, WIDTH));
}

/* The rows of the tile are columns of C. */
static void end_columns(const struct tile *t, float (*sum)[COLUMNS])
{
	for (size_t i = 0; i < t->rows; i += WIDTH)
		for (size_t j = 0; j < t->columns; j += WIDTH) {
			size_t rows = at_most(t->rows - i, WIDTH);
			size_t columns = at_most(t->columns - j, WIDTH);
			vec x[WIDTH];

			for (size_t r = 0; r < WIDTH; r++)
				x[r] = vec_load(sum[r < rows ? i + r : i] + j);
			vec_transpose(x);
			for (size_t r = 0; r < columns; r++)
				end_vec(t, t->c + (j + r) * t->c_x + i, x[r],
					t->bias ? t->bias + i : NULL, rows);
		}
}

INLINE void end(const struct tile *t, vec (*sum)[2], size_t rows, size_t vecs)
{
	_Alignas(64) float out[ROWS][COLUMNS];
	vec beta = vec_all(t->beta), bias[2] = { { 0 } };
	bool add_bias = t->bias != NULL;

	if (t->c_x != 1 || t->columns != vecs * WIDTH) {
		UNROLLED (i, rows)
			UNROLLED (j, vecs)
				vec_store(out[i] + j * WIDTH, sum[i][j]);
		if (t->c_x == 1)
			end_rows(t, out);
		else
			end_columns(t, out);
		return;
	}
	UNROLLED (j, vecs)
		if (add_bias)
			bias[j] = vec_load(t->bias + j * WIDTH);
	UNROLLED (i, rows)
		UNROLLED (j, vecs) {
			float *c = t->c + i * t->c_y + j * WIDTH;

			if (t->beta != 0)
				sum[i][j] += beta * vec_load(c);
			if (add_bias)
				sum[i][j] += bias[j];
			if (t->relu)
				sum[i][j] = vec_pick(sum[i][j] < 0, (vec){ 0 }, sum[i][j]);
			vec_store(c, sum[i][j]);
		}
}

/* `adjoin`: the steps of S do, else its rows; `copies`: what is read of V fills the panel. */
INLINE void multiply(const struct tile *t, size_t rows, size_t vecs, bool adjoin, bool copies)
{
	vec sum[ROWS][2], v[2];
	const float *s[(ROWS + 2) / 3]; /* of every third row: pointers take registers, too */
	const float *from = t->v, *ahead = t->ahead;
	float *to = t->panel;
	size_t s_y = adjoin ? t->s_y : 1, s_k = adjoin ? 1 : t->s_k, v_k = t->v_k;

	UNROLLED (i, rows) {
		s[i / 3] = t->s + i / 3 * 3 * s_y;
		UNROLLED (j, vecs)
			sum[i][j] = (vec){ 0 };
		if (t->c_x == 1)
			__builtin_prefetch(t->c + i * t->c_y, 1);
	}
	for (size_t p = 0; p < t->k; p++) {
		UNROLLED (j, vecs) {
			v[j] = vec_load(from + j * WIDTH);
			if (copies)
				vec_store(to + j * WIDTH, v[j]);
		}
		UNROLLED (i, rows) {
			vec x = vec_all(s[i / 3][i % 3 * s_y]);

			UNROLLED (j, vecs)
				sum[i][j] += x * v[j];
		}
		UNROLLED (i, (rows + 2) / 3) {
			s[i] += s_k;
			__asm__("" : "+r"(s[i])); /* else compilers make one pointer of them */
		}
		to += COLUMNS;
		from += v_k;
		__builtin_prefetch(
			ahead + (adjoin ? p % LINE * t->ahead_step + p / LINE * LINE : 0), 0, 2);
		ahead += adjoin ? 0 : t->ahead_step;
	}
	end(t, sum, rows, vecs);
}

#define ROW_COUNTS_6(X)	 X(1) X(2) X(3) X(4) X(5) X(6)
#define ROW_COUNTS_14(X) ROW_COUNTS_6(X) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#if WIDTH == 16
#define ROW_COUNTS(X) ROW_COUNTS_14(X)
#else
#define ROW_COUNTS(X) ROW_COUNTS_6(X)
#endif

#define TILE_FUNCTION(rows, vecs, adjoin, copies)                              \
	static void tile_##rows##_##vecs##adjoin##copies(const struct tile *t) \
	{                                                                      \
		multiply(t, rows, vecs, adjoin, copies);                       \
	}
#define TILE_FUNCTIONS(n)         \
	TILE_FUNCTION(n, 1, 0, 0) \
	TILE_FUNCTION(n, 1, 1, 0) \
	TILE_FUNCTION(n, 2, 0, 0) \
	TILE_FUNCTION(n, 2, 0, 1) \
	TILE_FUNCTION(n, 2, 1, 0) \
	TILE_FUNCTION(n, 2, 1, 1)
ROW_COUNTS(TILE_FUNCTIONS)

typedef void tile_function(const struct tile *t);
/* [rows - 1][adjoin]; narrow ones are one vector wide */
#define NARROW(n) { tile_##n##_100, tile_##n##_110 },
#define WIDE(n)	  { tile_##n##_200, tile_##n##_210 },
#define COPIES(n) { tile_##n##_201, tile_##n##_211 },
static tile_function *const narrow[ROWS][2] = { ROW_COUNTS(NARROW) };
static tile_function *const wide[ROWS][2] = { ROW_COUNTS(WIDE) };
static tile_function *const copying[ROWS][2] = { ROW_COUNTS(COPIES) };

/* to[k][COLUMNS] = from[k][columns], zeros behind */
static void copy_panel(float *to, const float *from, size_t step, size_t columns, size_t k)
{
	size_t first = at_most(columns, WIDTH), second = columns - first;

	for (size_t p = 0; p < k; p++, from += step, to += COLUMNS) {
		vec_store(to, vec_load_part(from, first));
		vec_store(to + WIDTH, vec_load_part(from + (second ? WIDTH : 0), second));
	}
}

/* to[k][COLUMNS] = from[columns][k] turned, zeros behind */
static void turn_panel(float *to, const float *from, size_t step, size_t columns, size_t k)
{
	for (size_t p = 0; p < k; p += WIDTH)
		for (size_t j = 0; j < COLUMNS; j += WIDTH) {
			size_t count = at_most(k - p, WIDTH);
			vec x[WIDTH];

			for (size_t r = 0; r < WIDTH; r++)
				if (j + r >= columns)
					x[r] = (vec){ 0 };
				else if (count == WIDTH)
					x[r] = vec_load(from + (j + r) * step + p);
				else
					x[r] = vec_load_part(from + (j + r) * step + p, count);
			vec_transpose(x);
			for (size_t r = 0; r < count; r++)
				vec_store(to + (p + r) * COLUMNS + j, x[r]);
		}
}

/* How many pieces of at most `most` something is cut into. */
static size_t pieces(size_t count, size_t most)
{
	return count ? (count + most - 1) / most : 1;
}

/* Where piece i of n begins. */
static size_t cut(size_t count, size_t i, size_t n)
{
	return count * i / n;
}

/* V in columns [x, x + width) and steps [p, p + k), all of S there, and C. */
struct block {
	const struct gemm_part *part;
	size_t x, width, p, k;
	bool first, last; /* of those that make up C */
	float *panels;	  /* [width / COLUMNS, rounded up][k][COLUMNS] */
};

/* Panels that no tile fills while it copies. */
static void fill_panels(const struct block *b)
{
	const struct gemm_part *part = b->part;

	for (size_t j = 0; j < b->width; j += COLUMNS) {
		size_t columns = at_most(b->width - j, COLUMNS);
		const float *from = part->v + (b->x + j) * part->v_x + b->p * part->v_k;

		if (part->v_x != 1)
			turn_panel(b->panels + j * b->k, from, part->v_x, columns, b->k);
		else if (columns < COLUMNS)
			copy_panel(b->panels + j * b->k, from, part->v_k, columns, b->k);
	}
}

/* Rows [y, y + t->rows) of C; the tile comes with what is the same for all. */
static void run_row(const struct block *b, struct tile *t, size_t y)
{
	const struct gemm_part *part = b->part;
	bool adjoin = part->s_k == 1, direct = y == 0 && part->v_x == 1;

	t->s = part->s + y * part->s_y + b->p * part->s_k;
	t->ahead = t->s + t->rows * part->s_y;
	t->ahead_step = adjoin ? part->s_y : part->s_k;
	for (size_t j = 0; j < b->width; j += COLUMNS) {
		size_t x = b->x + j;

		t->panel = b->panels + j * b->k;
		t->columns = at_most(b->width - j, COLUMNS);
		t->c = part->c + y * part->c_y + x * part->c_x;
		t->bias = part->bias && b->last ? part->bias + (part->c_x == 1 ? x : y) : NULL;
		t->v = t->panel;
		t->v_k = COLUMNS;
		if (direct && t->columns == COLUMNS) {
			t->v = part->v + x + b->p * part->v_k;
			t->v_k = part->v_k;
		}
		if (t->columns <= WIDTH)
			narrow[t->rows - 1][adjoin](t);
		else if (t->v != t->panel && t->rows < part->y)
			copying[t->rows - 1][adjoin](t);
		else
			wide[t->rows - 1][adjoin](t);
		t->ahead = t->s; /* once is enough */
		t->ahead_step = 0;
	}
}

static void run_block(const struct block *b)
{
	const struct gemm_part *part = b->part;
	size_t count = pieces(part->y, ROWS);
	struct tile t = { .k = b->k,
			  .s_y = part->s_y,
			  .s_k = part->s_k,
			  .c_y = part->c_y,
			  .c_x = part->c_x,
			  .beta = b->first ? part->beta : 1,
			  .relu = part->relu && b->last };

	fill_panels(b);
	for (size_t i = 0; i < count; i++) {
		size_t y = cut(part->y, i, count);

		t.rows = cut(part->y, i + 1, count) - y;
		run_row(b, &t, y);
	}
}

void KERNEL(gemm)(const struct gemm_part *part)
{
	_Alignas(64) float panels[MOST_BLOCK];
	size_t count = pieces(part->k, part->s_k == 1 ? MOST_ADJOINING : MOST_SCATTERED);
	size_t most = MOST_BLOCK / (pieces(part->k, count) * COLUMNS) * COLUMNS;
	struct block b = { .part = part, .panels = panels };

	most = pieces(pieces(part->x, COLUMNS), pieces(part->x, most)) * COLUMNS;
	for (b.x = 0; b.x < part->x; b.x += b.width) {
		b.width = at_most(part->x - b.x, most);
		for (size_t i = 0; i < count; i++) {
			b.p = cut(part->k, i, count);
			b.k = cut(part->k, i + 1, count) - b.p;
			b.first = i == 0;
			b.last = i == count - 1;
			run_block(&b);
		}
	}
}
