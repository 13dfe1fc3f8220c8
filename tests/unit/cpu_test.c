/* Matrix products against the definition, vector loops against single elements. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/cpu.h"
#include "runtime/rng.h"

static float *random_floats(size_t count, uint64_t which)
{
	struct rng rng = rng_make(1, RNG_DATA, which, 0);
	float *x = xaligned(count * sizeof(*x));

	for (size_t i = 0; i < count; i++)
		x[i] = (float)(2 * rng_uniform(&rng, i) - 1);
	return x;
}

static void compare_with_the_definition(struct cpu_gemm gemm)
{
	size_t m = gemm.m, n = gemm.n, k = gemm.k;
	float *a = random_floats(m * k, 0), *b = random_floats(k * n, 1);
	float *before = random_floats(m * n, 2), *c = random_floats(m * n, 2);

	gemm.a = a;
	gemm.b = b;
	gemm.c = c;
	cpu_gemm(&gemm);
	for (size_t i = 0; i < m; i++) {
		for (size_t j = 0; j < n; j++) {
			double sum = gemm.beta * (double)before[i * n + j];

			for (size_t l = 0; l < k; l++)
				sum += (double)a[gemm.ta ? l * m + i : i * k + l] *
				       b[gemm.tb ? j * k + l : l * n + j];
			/* k products below 1 in float: k * 2^-24 each, half of it in practice */
			assert_true(fabs(c[i * n + j] - sum) <= 1e-6 + (double)k * 6e-8);
		}
	}
	free(a);
	free(b);
	free(before);
	free(c);
}

static void products_match_the_definition_for_every_layout(void **state)
{
	static const size_t sizes[][3] = {
		{ 1, 1, 1 }, { 3, 5, 7 }, { 17, 1, 33 }, { 65, 31, 129 }
	};

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++)
		for (int layout = 0; layout < 8; layout++)
			compare_with_the_definition((struct cpu_gemm){
				.ta = layout & 1,
				.tb = layout & 2,
				.beta = layout & 4 ? 1.0f : 0.0f,
				.m = sizes[s][0],
				.n = sizes[s][1],
				.k = sizes[s][2],
			});
}

static void beta_0_overwrites_even_what_is_not_a_number(void **state)
{
	float a = 2, b = 3, c = NAN;

	(void)state;
	cpu_gemm(&(struct cpu_gemm){ .m = 1, .n = 1, .k = 1, .a = &a, .b = &b, .c = &c });
	assert_true(c == 6);
}

static void a_product_over_nothing_is_zero(void **state)
{
	float none = 0, c[2] = { 5, NAN };

	(void)state;
	cpu_gemm(&(struct cpu_gemm){
		.ta = true, .m = 1, .n = 2, .k = 0, .a = &none, .b = &none, .c = c });
	assert_true(c[0] == 0 && c[1] == 0);
	cpu_gemm(&(struct cpu_gemm){ .m = 0, .n = 2, .k = 1, .a = &none, .b = &none, .c = c });
}

static void vector_loops_touch_exactly_their_elements(void **state)
{
	float *x = random_floats(101, 3), *y = random_floats(101, 4), *z = random_floats(101, 4);

	(void)state;
	for (size_t count = 0; count <= 100; count += 5) {
		memcpy(y, z, 101 * sizeof(*y));
		cpu_add(y, x, count);
		for (size_t i = 0; i < 101; i++)
			assert_true(y[i] == (i < count ? z[i] + x[i] : z[i]));
		memcpy(y, z, 101 * sizeof(*y));
		cpu_scale(y, 3, count);
		for (size_t i = 0; i < 101; i++)
			assert_true(y[i] == (i < count ? z[i] * 3 : z[i]));
		memcpy(y, z, 101 * sizeof(*y));
		cpu_axpy(y, 0.5f, x, count);
		for (size_t i = 0; i < 101; i++)
			assert_true(y[i] == (i < count ? z[i] + 0.5f * x[i] : z[i]));
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
	for (size_t n = 2; n <= MOST; n++)
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			check_sum(x, y, n, counts[i]);
			check_sum(x, vectors[i % n], n, counts[i]);
		}
	for (size_t k = 0; k < MOST; k++)
		free(vectors[k]);
	free(y);
}

/* The order written in cpu.c, spelt out: a vectorised sum must not deviate by one bit. */
static double sum_in_order(const float *x, size_t count)
{
	double lane[8] = { 0 }, sum = 0;

	for (size_t i = 0; i < count; i++) {
		volatile double square = (double)x[i] * x[i];

		lane[i % 8] += square;
	}
	for (size_t j = 0; j < 8; j++)
		sum += lane[j];
	return sum;
}

static void the_sum_of_squares_has_one_order(void **state)
{
	float *x = random_floats(1003, 5);

	(void)state;
	for (size_t count = 0; count <= 1003; count++)
		assert_true(cpu_sum_squares(x, count) == sum_in_order(x, count));
	free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_match_the_definition_for_every_layout),
		cmocka_unit_test(beta_0_overwrites_even_what_is_not_a_number),
		cmocka_unit_test(a_product_over_nothing_is_zero),
		cmocka_unit_test(vector_loops_touch_exactly_their_elements),
		cmocka_unit_test(sums_of_many_are_added_from_the_left),
		cmocka_unit_test(the_sum_of_squares_has_one_order),
	};

	cpu_threads(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
