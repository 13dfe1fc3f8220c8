/* Matrix products against the definition, vector loops against single elements. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/device/kernels.h"
#include "runtime/device/team.h"
#include "runtime/rng.h"

static float *random_floats(size_t count, uint64_t which)
{
	struct rng rng = rng_make(1, RNG_DATA, which, 0);
	float *x = xaligned(count * sizeof(*x));

	for (size_t i = 0; i < count; i++)
		x[i] = (float)(2 * rng_uniform(&rng, i) - 1);
	return x;
}

/* A product and its matrices; rows lie `gap` further apart than they are long. */
struct product {
	struct cpu_gemm gemm;
	float *a, *b, *c, *before, *bias;
	size_t rows_a, rows_b;
};

static struct product product_new(struct cpu_gemm gemm, size_t gap, bool with_bias)
{
	struct product p = { .gemm = gemm };

	p.rows_a = gemm.ta ? gemm.k : gemm.m;
	p.rows_b = gemm.tb ? gemm.n : gemm.k;
	p.gemm.lda = (gemm.ta ? gemm.m : gemm.k) + gap;
	p.gemm.ldb = (gemm.tb ? gemm.k : gemm.n) + gap;
	p.gemm.ldc = gemm.n + gap;
	p.gemm.a = p.a = random_floats(p.rows_a * p.gemm.lda + 1, 0);
	p.gemm.b = p.b = random_floats(p.rows_b * p.gemm.ldb + 1, 1);
	p.gemm.c = p.c = random_floats(gemm.m * p.gemm.ldc + 1, 2);
	p.before = random_floats(gemm.m * p.gemm.ldc + 1, 2);
	p.bias = random_floats(gemm.n + 1, 3);
	p.gemm.bias = with_bias ? p.bias : NULL;
	if (gap == 0)
		p.gemm.lda = p.gemm.ldb = p.gemm.ldc = 0;
	return p;
}

static void product_free(struct product *p)
{
	free(p->a);
	free(p->b);
	free(p->c);
	free(p->before);
	free(p->bias);
}

static double by_definition(const struct product *p, size_t gap, size_t i, size_t j)
{
	const struct cpu_gemm *g = &p->gemm;
	size_t lda = (g->ta ? g->m : g->k) + gap, ldb = (g->tb ? g->k : g->n) + gap;
	double sum = g->beta * (double)p->before[i * (g->n + gap) + j];

	for (size_t l = 0; l < g->k; l++)
		sum += (double)p->a[g->ta ? l * lda + i : i * lda + l] *
		       p->b[g->tb ? j * ldb + l : l * ldb + j];
	if (g->bias)
		sum += g->bias[j];
	return g->relu && sum < 0 ? 0 : sum;
}

static void compare_with_the_definition(struct cpu_gemm gemm, size_t gap, bool with_bias)
{
	struct product p = product_new(gemm, gap, with_bias);
	size_t ldc = gemm.n + gap;

	cpu_gemm(&p.gemm);
	for (size_t i = 0; i < gemm.m; i++)
		for (size_t j = 0; j < ldc; j++)
			if (j >= gemm.n)
				assert_true(p.c[i * ldc + j] == p.before[i * ldc + j]);
			else /* k products below 1 in float: k * 2^-24 each, half of it in practice
			      */
				assert_true(fabs(p.c[i * ldc + j] - by_definition(&p, gap, i, j)) <=
					    1e-6 + (double)gemm.k * 6e-8);
	assert_true(p.c[gemm.m * ldc] == p.before[gemm.m * ldc]);
	product_free(&p);
}

static void compare_every_layout(size_t m, size_t n, size_t k)
{
	for (int layout = 0; layout < 32; layout++)
		compare_with_the_definition(
			(struct cpu_gemm){ .ta = layout & 1,
					   .tb = layout & 2,
					   .beta = layout & 4 ? (layout & 8 ? 1.0f : -0.5f) : 0.0f,
					   .relu = layout & 8,
					   .m = m,
					   .n = n,
					   .k = k },
			layout & 16 ? 5 : 0, layout & 8);
}

static void products_match_the_definition_for_every_layout(void **state)
{
	static const size_t sizes[][3] = { { 1, 1, 1 },	   { 3, 5, 7 },	   { 17, 1, 33 },
					   { 2, 40, 9 },   { 4, 3, 100 },  { 65, 31, 129 },
					   { 14, 32, 16 }, { 15, 16, 17 }, { 128, 10, 20 },
					   { 29, 65, 530 } };

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
			compare_every_layout(sizes[s][0], sizes[s][1], sizes[s][2]);
	}
}

/* V takes more than one block, C more than one part. */
static void large_products_match_the_definition(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		compare_with_the_definition(
			(struct cpu_gemm){ .m = 20, .n = 700, .k = 600, .relu = true }, 1, true);
		compare_with_the_definition(
			(struct cpu_gemm){ .ta = true, .m = 20, .n = 700, .k = 600, .beta = 1 }, 0,
			false);
	}
}

static void beta_0_overwrites_even_what_is_not_a_number(void **state)
{
	enum { MOST = 40 };
	float a[MOST], b[MOST], c[MOST * MOST];

	(void)state;
	for (size_t i = 0; i < MOST; i++)
		a[i] = b[i] = 2;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		for (size_t size = 1; size <= MOST; size++) {
			for (size_t i = 0; i < size * size; i++)
				c[i] = NAN;
			cpu_gemm(&(struct cpu_gemm){
				.m = size, .n = size, .k = 1, .a = a, .b = b, .c = c });
			for (size_t i = 0; i < size * size; i++)
				assert_true(c[i] == 4);
		}
	}
}

static void a_product_over_nothing_is_the_bias(void **state)
{
	float none = 0, c[2] = { 5, NAN }, bias[2] = { 3, -4 };
	struct cpu_gemm gemm = { .m = 1, .n = 2, .k = 0, .a = &none, .b = &none, .c = c };

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		for (int layout = 0; layout < 4; layout++) {
			gemm.ta = layout & 1;
			gemm.tb = layout & 2;
			gemm.bias = NULL;
			gemm.beta = 0;
			cpu_gemm(&gemm);
			assert_true(c[0] == 0 && c[1] == 0);
			gemm.bias = bias;
			gemm.beta = 1;
			cpu_gemm(&gemm);
			assert_true(c[0] == 3 && c[1] == -4);
		}
		cpu_gemm(&(struct cpu_gemm){ .n = 2, .k = 1, .a = &none, .b = &none, .c = c });
		cpu_gemm(&(struct cpu_gemm){ .m = 1, .k = 1, .a = &none, .b = &none, .c = c });
		assert_true(c[0] == 3 && c[1] == -4);
	}
}

/* relu and beta see what is not a number as such. */
static void what_is_not_a_number_stays_visible(void **state)
{
	float a[3] = { NAN, 1, -1 }, b = 1, c[3];

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		cpu_gemm(&(struct cpu_gemm){
			.m = 3, .n = 1, .k = 1, .a = a, .b = &b, .c = c, .relu = true });
		assert_true(isnan(c[0]) && c[1] == 1 && c[2] == 0);
	}
}

static void a_team_changes_no_bit(void **state)
{
	static const size_t sizes[][3] = { { 128, 256, 512 }, { 300, 300, 300 }, { 4, 700, 2000 } };

	(void)state;
	for (size_t layout = 0; layout < 4 * ARRAY_SIZE(sizes); layout++) {
		const size_t *size = sizes[layout / 4];
		struct product p = product_new((struct cpu_gemm){ .ta = layout & 1,
								  .tb = layout & 2,
								  .m = size[0],
								  .n = size[1],
								  .k = size[2] },
					       0, true);
		size_t bytes = size[0] * size[1] * sizeof(float);

		cpu_gemm(&p.gemm);
		memcpy(p.before, p.c, bytes);
		for (size_t threads = 1; threads <= 5; threads++) {
			memset(p.c, 0, bytes);
			p.gemm.team = team_new(threads);
			cpu_gemm(&p.gemm);
			team_free(p.gemm.team);
			assert_memory_equal(p.c, p.before, bytes);
		}
		product_free(&p);
	}
}

/* Factors that make products exact: fused or not is the same. */
static void check_loops(float *y, const float *x, const float *z, size_t count)
{
	enum { COUNT = 101 };

	memcpy(y, z, COUNT * sizeof(*y));
	cpu_add(y, x, count);
	for (size_t i = 0; i < COUNT; i++)
		assert_true(y[i] == (i < count ? z[i] + x[i] : z[i]));
	memcpy(y, z, COUNT * sizeof(*y));
	cpu_scale(y, 3, count);
	for (size_t i = 0; i < COUNT; i++)
		assert_true(y[i] == (i < count ? z[i] * 3 : z[i]));
	memcpy(y, z, COUNT * sizeof(*y));
	cpu_axpy(y, 0.5f, x, count);
	for (size_t i = 0; i < COUNT; i++)
		assert_true(y[i] == (i < count ? z[i] + 0.5f * x[i] : z[i]));
}

static void vector_loops_touch_exactly_their_elements(void **state)
{
	float *x = random_floats(101, 3), *y = random_floats(101, 4), *z = random_floats(101, 4);

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		for (size_t count = 0; count <= 100; count++)
			check_loops(y, x, z, count);
	}
	free(x);
	free(y);
	free(z);
}

static void check_sum(const float *const *x, float *y, size_t n, size_t count)
{
	float *wanted = xaligned((count + 1) * sizeof(*wanted));

	for (size_t i = 0; i < count; i++) {
		wanted[i] = x[0][i];
		for (size_t k = 1; k < n; k++) {
			volatile float sum = wanted[i] + x[k][i];

			wanted[i] = sum;
		}
	}
	wanted[count] = y[count];
	cpu_sum(y, x, n, count);
	assert_memory_equal(y, wanted, (count + 1) * sizeof(*y));
	free(wanted);
}

static void sums_of_many_are_added_from_the_left(void **state)
{
	static const size_t counts[] = { 0, 1, 15, 1023, 1024, 1025, 3001 };
	enum { MOST = 9 };
	const float *x[MOST];
	float *vectors[MOST], *y = random_floats(3002, 99);

	(void)state;
	for (size_t k = 0; k < MOST; k++)
		x[k] = vectors[k] = random_floats(3002, 10 + k);
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		for (size_t n = 2; n <= MOST; n++)
			for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
				check_sum(x, y, n, counts[i]);
				check_sum(x, vectors[i % n], n, counts[i]);
			}
	}
	for (size_t k = 0; k < MOST; k++)
		free(vectors[k]);
	free(y);
}

/* The order that all sets have, spelt out: a vectorised sum must not deviate by one bit. */
static double sum_in_order(const float *x, size_t count)
{
	enum { LANES = 16 };
	double lane[LANES] = { 0 }, sum = 0;

	for (size_t i = 0; i < count; i++) {
		volatile double square = (double)x[i] * x[i];

		lane[i % LANES] += square;
	}
	for (size_t j = 0; j < LANES; j++)
		sum += lane[j];
	return sum;
}

static void the_sum_of_squares_has_one_order(void **state)
{
	float *x = random_floats(1003, 5);

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		for (size_t count = 0; count <= 1003; count++)
			assert_true(cpu_sum_squares(x, count) == sum_in_order(x, count));
	}
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_match_the_definition_for_every_layout),
		cmocka_unit_test(beta_0_overwrites_even_what_is_not_a_number),
		cmocka_unit_test(large_products_match_the_definition),
		cmocka_unit_test(a_product_over_nothing_is_the_bias),
		cmocka_unit_test(what_is_not_a_number_stays_visible),
		cmocka_unit_test(a_team_changes_no_bit),
		cmocka_unit_test(vector_loops_touch_exactly_their_elements),
		cmocka_unit_test(sums_of_many_are_added_from_the_left),
		cmocka_unit_test(the_sum_of_squares_has_one_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
