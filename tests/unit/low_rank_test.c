/* Matrices as products of two factors. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/device/kernels.h"
#include "runtime/device/low_rank.h"
#include "runtime/rng.h"

enum { LENGTH = 37, RANK = 5 };

static void fill(float *x, size_t count, uint64_t which)
{
	struct rng rng = rng_make(3, RNG_DATA, which, 0);

	for (size_t i = 0; i < count; i++)
		x[i] = (float)rng_normal(&rng, i);
}

static double dot(const float *x, const float *y, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)x[i] * (double)y[i];
	return sum;
}

/* Each column has length 1 or is 0, and they are orthogonal. Returns how many are not 0. */
static size_t check_orthonormal(const float *columns, size_t rank, size_t length)
{
	size_t alive = 0;

	for (size_t k = 0; k < rank; k++) {
		double size = dot(columns + k * length, columns + k * length, length);

		assert_true(size == 0 || fabs(size - 1) < 1e-5);
		alive += size > 0;
		for (size_t j = 0; j < k; j++)
			assert_true(fabs(dot(columns + k * length, columns + j * length, length)) <
				    1e-5);
	}
	return alive;
}

static void columns_become_orthonormal_whatever_their_size(void **state)
{
	static const float sizes[] = { 1, 1e-30f, 1e-18f, 1e30f };
	float columns[RANK * LENGTH];

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		fill(columns, RANK * LENGTH, s);
		for (size_t i = 0; i < RANK * LENGTH; i++)
			columns[i] *= sizes[s];
		low_rank_orthonormalise(columns, RANK, LENGTH);
		assert_int_equal(check_orthonormal(columns, RANK, LENGTH), RANK);
	}
}

static void columns_that_nearly_coincide_become_orthonormal(void **state)
{
	float columns[3 * LENGTH], noise[LENGTH];

	(void)state;
	fill(columns, LENGTH, 1);
	for (size_t k = 1; k < 3; k++) {
		fill(noise, LENGTH, 1 + k);
		for (size_t i = 0; i < LENGTH; i++)
			columns[k * LENGTH + i] = columns[i] + 1e-4f * noise[i];
	}
	low_rank_orthonormalise(columns, 3, LENGTH);
	assert_int_equal(check_orthonormal(columns, 3, LENGTH), 3);
}

static void what_adds_no_direction_becomes_zero(void **state)
{
	float columns[RANK * LENGTH] = { 0 };

	(void)state;
	low_rank_orthonormalise(columns, RANK, LENGTH);
	assert_int_equal(check_orthonormal(columns, RANK, LENGTH), 0);
	fill(columns, LENGTH, 1);
	fill(columns + 3 * LENGTH, LENGTH, 2);
	for (size_t i = 0; i < LENGTH; i++) { /* the second one is 0 */
		columns[2 * LENGTH + i] = -3 * columns[i];
		columns[4 * LENGTH + i] = columns[i] + 0.1f * columns[3 * LENGTH + i];
	}
	low_rank_orthonormalise(columns, RANK, LENGTH);
	assert_int_equal(check_orthonormal(columns, RANK, LENGTH), 2);
	assert_true(columns[0] != 0 && columns[3 * LENGTH] != 0);
}

static void more_columns_than_rows_leave_as_many_as_rows(void **state)
{
	float columns[RANK * 3];

	(void)state;
	fill(columns, RANK * 3, 1);
	low_rank_orthonormalise(columns, RANK, 3);
	assert_int_equal(check_orthonormal(columns, RANK, 3), 3);
}

static void a_column_that_overflowed_is_dropped(void **state)
{
	float columns[2 * LENGTH];

	(void)state;
	fill(columns, 2 * LENGTH, 1);
	columns[5] = INFINITY;
	assert_false(low_rank_normalise(columns, LENGTH));
	low_rank_orthonormalise(columns, 2, LENGTH);
	assert_int_equal(check_orthonormal(columns, 2, LENGTH), 1);
	assert_true(columns[0] == 0);
}

/* Against sums of products in double. */
static void check_products(size_t rank, size_t rows, size_t columns)
{
	float *left = xcalloc(rank * rows, sizeof(*left));
	float *right = xcalloc(rank * columns, sizeof(*right));
	float *x = xcalloc(rows * columns, sizeof(*x)), *rest = xcalloc(rows * columns, sizeof(*x));
	float *got = xcalloc(rank * (rows + columns), sizeof(*got));

	fill(left, rank * rows, 1);
	fill(right, rank * columns, 2);
	low_rank_expand(x, left, right, rank, rows, columns);
	for (size_t i = 0; i < rows * columns; i++) {
		double sum = 0;

		for (size_t k = 0; k < rank; k++)
			sum += (double)left[k * rows + i / columns] *
			       (double)right[k * columns + i % columns];
		assert_true(fabs((double)x[i] - sum) < 1e-5);
	}
	fill(x, rows * columns, 3);
	low_rank_left(got, right, x, rank, rows, columns);
	for (size_t k = 0; k < rank * rows; k++)
		assert_true(fabs((double)got[k] - dot(right + k / rows * columns,
						      x + k % rows * columns, columns)) < 1e-4);
	low_rank_right(got, left, x, rank, rows, columns);
	for (size_t k = 0; k < rank * columns; k++) {
		double sum = 0;

		for (size_t i = 0; i < rows; i++)
			sum += (double)left[k / columns * rows + i] *
			       (double)x[i * columns + k % columns];
		assert_true(fabs((double)got[k] - sum) < 1e-4);
	}
	low_rank_expand(rest, left, right, rank, rows, columns);
	low_rank_subtract(rest, left, right, rank, rows, columns);
	for (size_t i = 0; i < rows * columns; i++)
		assert_true(fabs((double)rest[i]) < 1e-5);
	free(left);
	free(right);
	free(x);
	free(rest);
	free(got);
}

static void products_are_right_on_every_instruction_set(void **state)
{
	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		check_products(1, 2, 3);
		check_products(2, 19, 40);
		check_products(4, 10, 257);
		check_products(7, 33, 8);
	}
	kernels_choose(NULL);
}

/* Ranks with other processors must not drift apart. */
static void bases_and_expanded_matrices_are_the_same_on_every_instruction_set(void **state)
{
	enum { COLUMNS = 53 };
	float first[LENGTH * COLUMNS], x[LENGTH * COLUMNS];
	float left[RANK * LENGTH], right[RANK * COLUMNS];

	(void)state;
	for (const struct kernels *const *set = kernels_all(); *set; set++) {
		kernels_choose(*set);
		fill(left, RANK * LENGTH, 1);
		fill(right, RANK * COLUMNS, 2);
		low_rank_orthonormalise(left, RANK, LENGTH);
		assert_true(low_rank_normalise(right, COLUMNS));
		low_rank_expand(x, left, right, RANK, LENGTH, COLUMNS);
		if (set == kernels_all())
			memcpy(first, x, sizeof(x));
		assert_memory_equal(first, x, sizeof(x));
	}
	kernels_choose(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_become_orthonormal_whatever_their_size),
		cmocka_unit_test(columns_that_nearly_coincide_become_orthonormal),
		cmocka_unit_test(what_adds_no_direction_becomes_zero),
		cmocka_unit_test(more_columns_than_rows_leave_as_many_as_rows),
		cmocka_unit_test(a_column_that_overflowed_is_dropped),
		cmocka_unit_test(products_are_right_on_every_instruction_set),
		cmocka_unit_test(bases_and_expanded_matrices_are_the_same_on_every_instruction_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
