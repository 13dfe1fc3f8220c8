/* Indices of sparse vectors: every set comes back, in about the least bytes, damage is found. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/compress/indices.h"
#include "runtime/rng.h"

/* As many bytes as the bound says, so that a sanitizer sees one too many. */
static unsigned char *write_set(const bool *in, size_t count, size_t *chosen, size_t *length)
{
	struct index_writer writer;
	unsigned char *bytes;

	*chosen = 0;
	for (size_t i = 0; i < count; i++)
		*chosen += in[i];
	bytes = xmalloc(indices_bound(*chosen, count) + 1);
	writer = indices_write(bytes, *chosen, count);
	for (size_t i = 0; i < count; i++)
		if (in[i])
			indices_put(&writer, i);
	*length = (size_t)(indices_end(&writer) - bytes);
	assert_true(*length <= indices_bound(*chosen, count));
	return xrealloc(bytes, *length + 1, 1);
}

/* Whether `length` bytes are `chosen` indices; none may be out of range or out of order. */
static bool readable(const unsigned char *bytes, size_t length, size_t chosen, size_t count)
{
	unsigned char *copy = xmalloc(length ? length : 1);
	struct index_reader reader;
	size_t index, least = 0;
	bool fine = true;

	memcpy(copy, bytes, length);
	reader = indices_read(copy, length, chosen, count);
	for (size_t k = 0; k < chosen && fine; k++) {
		fine = indices_next(&reader, &index);
		assert_true(!fine || (index >= least && index < count));
		least = index + 1;
	}
	fine = fine && indices_ended(&reader);
	free(copy);
	return fine;
}

static size_t check_set(const bool *in, size_t count)
{
	size_t chosen, length, index, k = 0;
	unsigned char *bytes = write_set(in, count, &chosen, &length);
	struct index_reader reader = indices_read(bytes, length, chosen, count);

	for (size_t i = 0; i < count; i++) {
		if (!in[i])
			continue;
		assert_true(indices_next(&reader, &index));
		assert_int_equal(index, i);
		k++;
	}
	assert_int_equal(k, chosen);
	assert_true(indices_ended(&reader));
	bytes[length] = 0;
	assert_false(readable(bytes, length + 1, chosen, count));
	assert_true(length == 0 || !readable(bytes, length - 1, chosen, count));
	free(bytes);
	return length;
}

static void every_set_of_a_few_comes_back(void **state)
{
	(void)state;
	for (size_t count = 0; count <= 12; count++) {
		for (unsigned set = 0; set < 1U << count; set++) {
			bool in[12] = { false };

			for (size_t i = 0; i < count; i++)
				in[i] = set >> i & 1;
			check_set(in, count);
		}
	}
}

static void draw_set(bool *in, size_t count, double density, uint64_t step)
{
	struct rng rng = rng_make(5, RNG_DATA, count, step);

	for (size_t i = 0; i < count; i++)
		in[i] = rng_uniform(&rng, i) < density;
}

static void sets_of_any_density_come_back_within_their_bound(void **state)
{
	static const size_t counts[] = { 1, 63, 64, 65, 1000, 4099, 30011 };
	bool *in = xcalloc(30011, sizeof(*in));

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		for (double density = 1e-4; density < 1; density *= 1.7) {
			draw_set(in, counts[c], density, 1);
			check_set(in, counts[c]);
		}
	}
	free(in);
}

static void one_sided_sets_stay_within_the_bound(void **state)
{
	enum { COUNT = 5003 };
	bool *in = xcalloc(COUNT, sizeof(*in));

	(void)state;
	for (size_t chosen = 1; chosen < COUNT; chosen += chosen / 3 + 1) {
		memset(in, 0, COUNT);
		memset(in, 1, chosen);
		check_set(in, COUNT);
		memset(in, 0, COUNT);
		memset(in + COUNT - chosen, 1, chosen);
		check_set(in, COUNT);
	}
	free(in);
}

static void all_and_none_take_no_bytes(void **state)
{
	(void)state;
	for (size_t count = 0; count < 70; count++) {
		assert_int_equal(indices_bound(0, count), 0);
		assert_int_equal(indices_bound(count, count), 0);
	}
}

static void random_sets_take_little_more_than_their_entropy(void **state)
{
	enum { COUNT = 200003 };
	static const double densities[] = { 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.25 };
	bool *in = xcalloc(COUNT, sizeof(*in));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(densities); i++) {
		double p = densities[i];
		double entropy = -log2(p) - (1 - p) / p * log2(1 - p), chosen = p * COUNT;

		draw_set(in, COUNT, p, 2);
		assert_true(8 * (double)check_set(in, COUNT) <
			    chosen * (entropy + 0.1) * 1.02 + 64);
	}
	free(in);
}

static void damage_is_refused_or_gives_rising_indices(void **state)
{
	enum { COUNT = 3001 };
	struct rng rng = rng_make(6, RNG_DATA, 0, 0);
	bool *in = xcalloc(COUNT, sizeof(*in));
	size_t chosen, length, refused = 0;

	(void)state;
	for (uint64_t step = 0; step < 3000; step++) {
		unsigned char *bytes;

		draw_set(in, COUNT, step % 2 ? 0.01 : 0.3, step % 16);
		bytes = write_set(in, COUNT, &chosen, &length);
		bytes[rng_below(&rng, 2 * step, length)] ^=
			(unsigned char)(1 << rng_below(&rng, 2 * step + 1, 8));
		refused += !readable(bytes, length, chosen, COUNT);
		refused += !readable(bytes, length, chosen + 1, COUNT);
		free(bytes);
	}
	assert_true(refused > 1000);
	free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_set_of_a_few_comes_back),
		cmocka_unit_test(sets_of_any_density_come_back_within_their_bound),
		cmocka_unit_test(one_sided_sets_stay_within_the_bound),
		cmocka_unit_test(all_and_none_take_no_bytes),
		cmocka_unit_test(random_sets_take_little_more_than_their_entropy),
		cmocka_unit_test(damage_is_refused_or_gives_rising_indices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
