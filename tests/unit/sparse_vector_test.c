/* Sparse vectors: sums as of dense ones, all of the union, and what comes from the wire. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "runtime/compress/sparse.h"
#include "runtime/rng.h"
#include "runtime/sparse_vector.h"

enum { MOST = 5003 };

/* Small whole numbers, 0 among them; and which coordinates are there. */
static struct sparse_vector draw(size_t space, double density, uint64_t step)
{
	struct rng rng = rng_make(9, RNG_DATA, space, step);
	struct sparse_vector vector = { .space = space };

	sparse_vector_reserve(&vector, space);
	for (size_t i = 0; i < space; i++) {
		if (rng_uniform(&rng, 2 * i) >= density)
			continue;
		vector.indices[vector.count] = (uint32_t)i;
		vector.values[vector.count++] = (float)rng_below(&rng, 2 * i + 1, 7) - 3;
	}
	return vector;
}

static void check_rising(const struct sparse_vector *vector)
{
	if (sparse_vector_is_dense(vector))
		return;
	for (size_t k = 0; k < vector->count; k++) {
		assert_true(vector->indices[k] < vector->space);
		assert_true(k == 0 || vector->indices[k] > vector->indices[k - 1]);
	}
}

static size_t count_union(const struct sparse_vector *x, const struct sparse_vector *y, bool *in)
{
	const struct sparse_vector *both[] = { x, y };
	size_t count = 0;

	memset(in, 0, x->space);
	for (size_t v = 0; v < 2; v++)
		for (size_t k = 0; k < both[v]->count; k++)
			in[sparse_vector_is_dense(both[v]) ? k : both[v]->indices[k]] = true;
	for (size_t i = 0; i < x->space; i++)
		count += in[i];
	return count;
}

static void check_sum(const struct sparse_vector *x, const struct sparse_vector *y)
{
	static float wanted[MOST], got[MOST];
	static bool in[MOST];
	struct sparse_vector sum = { 0 };
	size_t space = x->space, all = count_union(x, y, in);
	bool dense = sparse_bound(all, space) >= space * sizeof(float);

	memset(wanted, 0, sizeof(wanted));
	memset(got, 0, sizeof(got));
	sparse_vector_add_to(x, wanted);
	sparse_vector_add_to(y, wanted);
	for (int round = 0; round < 2; round++) { /* also into what held something else */
		sparse_vector_sum(&sum, x, y);
		check_rising(&sum);
		assert_int_equal(sum.count, dense ? space : all);
	}
	sparse_vector_add_to(&sum, got);
	assert_memory_equal(got, wanted, sizeof(got));
	for (size_t k = 0; k < sum.count && !sparse_vector_is_dense(&sum); k++)
		assert_true(in[sum.indices[k]]);
	sparse_vector_release(&sum);
}

static void sums_hold_the_union_and_are_dense_where_that_is_shorter(void **state)
{
	static const size_t spaces[] = { 0, 1, 2, 3, 17, 64, 1000, MOST };
	static const double densities[] = { 0, 0.001, 0.05, 0.4, 0.9, 0.99, 1 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(spaces); s++) {
		for (size_t a = 0; a < ARRAY_SIZE(densities); a++) {
			for (size_t b = 0; b < ARRAY_SIZE(densities); b++) {
				struct sparse_vector x = draw(spaces[s], densities[a], 1);
				struct sparse_vector y = draw(spaces[s], densities[b], 2);

				check_sum(&x, &y);
				check_sum(&x, &x);
				sparse_vector_release(&x);
				sparse_vector_release(&y);
			}
		}
	}
}

static void a_pair_of_a_sum_that_is_zero_stays(void **state)
{
	uint32_t indices[] = { 3, 70 };
	float up[] = { 5, -1 }, down[] = { -5, 1 };
	struct sparse_vector x = { 100, 2, indices, up, 2 }, y = { 100, 2, indices, down, 2 };
	struct sparse_vector sum = { 0 };

	(void)state;
	sparse_vector_sum(&sum, &x, &y);
	assert_int_equal(sum.count, 2);
	assert_true(sum.indices[0] == 3 && sum.indices[1] == 70);
	assert_true(sum.values[0] == 0 && sum.values[1] == 0);
	sparse_vector_release(&sum);
}

/* -0, NaN and infinity included: what meets nothing keeps its bits, dense or not. */
static void what_is_in_one_of_them_keeps_its_bits(void **state)
{
	enum { SPACE = 64 };
	float odd[] = { -0.0f, 0.0f, INFINITY, -1e-45f }, values[SPACE];
	uint32_t one[] = { 0, 1, 2, 3 }, rest[SPACE];
	struct sparse_vector x = { SPACE, 4, one, odd, 4 }, y = { SPACE, 0, rest, values, SPACE };
	struct sparse_vector sum = { 0 };

	(void)state;
	for (uint32_t i = 4; i < SPACE; i++) {
		rest[y.count] = i;
		values[y.count++] = i % 2 ? -0.0f : (float)i;
	}
	sparse_vector_sum(&sum, &x, &y);
	assert_true(sparse_vector_is_dense(&sum));
	assert_memory_equal(sum.values, odd, sizeof(odd));
	assert_memory_equal(sum.values + 4, values, (SPACE - 4) * sizeof(float));
	sparse_vector_sum(&sum, &y, &x);
	assert_memory_equal(sum.values, odd, sizeof(odd));
	sparse_vector_release(&sum);
}

static void check_parts(const struct sparse_vector *vector, size_t parts)
{
	struct sparse_vector back = { .space = vector->space }, cut = { 0 };
	unsigned char *bytes = xmalloc(sparse_vector_bound(vector->count, vector->space) + 9);
	struct error err;

	for (size_t p = 0; p < parts; p++) {
		struct sparse_part part = { .start = p * vector->space / parts };
		size_t count, length, before = back.count;

		part.space = (p + 1) * vector->space / parts - part.start;
		length = sparse_vector_pack(vector, &part, &count, bytes);
		assert_true(length <= sparse_vector_bound(count, part.space));
		assert_int_equal(sparse_vector_unpack(&back, &part, count, bytes, length + 1, &err),
				 -1);
		assert_int_equal(back.count, before);
		assert_int_equal(sparse_vector_unpack(&back, &part, count, bytes, length, &err), 0);
		sparse_vector_cut(&cut, vector, &part);
		assert_true(cut.space == part.space && cut.count == count);
		for (size_t k = 0; k < count; k++)
			assert_true(sparse_vector_is_dense(&cut) ||
				    cut.indices[k] + part.start == back.indices[before + k]);
	}
	assert_int_equal(back.count, vector->count);
	for (size_t k = 0; k < back.count; k++)
		assert_true(back.values[k] == vector->values[k] &&
			    back.indices[k] == vector->indices[k]);
	sparse_vector_release(&back);
	sparse_vector_release(&cut);
	free(bytes);
}

static void parts_come_back_from_the_wire(void **state)
{
	static const double densities[] = { 0, 0.003, 0.2, 0.95, 1 };

	(void)state;
	for (size_t space = 1; space <= MOST; space = 4 * space + 3) {
		for (size_t d = 0; d < ARRAY_SIZE(densities); d++) {
			struct sparse_vector vector = draw(space, densities[d], 3);

			for (size_t parts = 1; parts <= 9; parts += 2)
				check_parts(&vector, parts);
			sparse_vector_release(&vector);
		}
	}
}

static void indices_go_up_to_the_largest_space(void **state)
{
	uint32_t indices[] = { 0, 1, UINT32_C(0x80000000), UINT32_MAX - 1 };
	float values[] = { 1, 2, 3, 4 };
	struct sparse_vector vector = { UINT32_MAX, 4, indices, values, 4 }, sum = { 0 };

	(void)state;
	check_parts(&vector, 1);
	check_parts(&vector, 7);
	sparse_vector_sum(&sum, &vector, &vector);
	assert_int_equal(sum.count, 4);
	assert_true(sum.indices[3] == UINT32_MAX - 1 && sum.values[3] == 8);
	sparse_vector_release(&sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_hold_the_union_and_are_dense_where_that_is_shorter),
		cmocka_unit_test(a_pair_of_a_sum_that_is_zero_stays),
		cmocka_unit_test(what_is_in_one_of_them_keeps_its_bits),
		cmocka_unit_test(parts_come_back_from_the_wire),
		cmocka_unit_test(indices_go_up_to_the_largest_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
