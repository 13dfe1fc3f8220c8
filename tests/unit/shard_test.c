/* Which rank sees which samples: nothing twice, nothing lost, the same for any world size. */
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "lib/setting.h"
#include "runtime/data/data.h"

enum { SAMPLES = 1003, CLASSES = 10, BATCH = 50 };

static float targets[SAMPLES];
static struct dataset dataset = { .count = SAMPLES, .targets = targets, .classes = CLASSES };

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLES; i++)
		targets[i] = (float)(i * 7 % 13 % CLASSES);
	return 0;
}

static struct shard *new_shard(int kind, int rank, int world, uint64_t seed)
{
	struct shard_params params = { .kind = kind, .classes = 3, .alpha = 0.3 };

	return shard_new(&params, &dataset, BATCH, rank, world, seed);
}

/* The batch of all ranks, put together from theirs. Returns its size. */
static size_t whole_step(struct shard **shards, int world, size_t step, uint32_t *all)
{
	size_t filled = 0, count, first, total = 0;

	for (int r = 0; r < world; r++) {
		const uint32_t *index = shard_step(shards[r], step, &count, &first, &total);

		assert_int_equal(first, filled);
		assert_true(count <= shard_most(shards[r]));
		assert_true(first + count <= BATCH);
		memcpy(all + first, index, count * sizeof(*all));
		filled += count;
	}
	assert_int_equal(filled, total);
	return filled;
}

static void iid_gives_the_same_batches_to_any_number_of_ranks(void **state)
{
	static const int worlds[] = { 1, 2, 3, 4, 8, 50, 64 };
	struct shard *alone = new_shard(SHARD_IID, 0, 1, 7);
	size_t steps = shard_steps_per_epoch(alone);

	(void)state;
	assert_int_equal(steps, SAMPLES / BATCH);
	for (size_t w = 0; w < ARRAY_SIZE(worlds); w++) {
		struct shard *shards[64];

		for (int r = 0; r < worlds[w]; r++)
			shards[r] = new_shard(SHARD_IID, r, worlds[w], 7);
		for (size_t step = 0; step < 3 * steps; step++) {
			uint32_t expected[BATCH], got[BATCH];

			assert_int_equal(whole_step(&alone, 1, step, expected), BATCH);
			assert_int_equal(whole_step(shards, worlds[w], step, got), BATCH);
			assert_memory_equal(got, expected, sizeof(got));
		}
		for (int r = 0; r < worlds[w]; r++)
			shard_free(shards[r]);
	}
	shard_free(alone);
}

static void an_epoch_shows_no_sample_twice(void **state)
{
	struct shard *shard = new_shard(SHARD_IID, 0, 1, 3);
	size_t steps = shard_steps_per_epoch(shard), differing = 0;
	uint32_t batch[BATCH], earlier[BATCH];

	(void)state;
	for (size_t epoch = 0; epoch < 3; epoch++) {
		unsigned char seen[SAMPLES] = { 0 };

		for (size_t step = 0; step < steps; step++) {
			whole_step(&shard, 1, epoch * steps + step, batch);
			for (size_t i = 0; i < BATCH; i++) {
				assert_true(batch[i] < SAMPLES);
				assert_int_equal(seen[batch[i]]++, 0);
			}
		}
	}
	whole_step(&shard, 1, 0, earlier);
	whole_step(&shard, 1, steps, batch);
	for (size_t i = 0; i < BATCH; i++)
		differing += batch[i] != earlier[i];
	assert_true(differing > BATCH / 2); /* epochs differ */
	shard_free(shard);
}

static void the_seed_alone_decides_the_order(void **state)
{
	(void)state;
	for (int kind = SHARD_IID; kind <= SHARD_DIRICHLET; kind++) {
		struct shard *one = new_shard(kind, 1, 3, 5), *same = new_shard(kind, 1, 3, 5);
		struct shard *other = new_shard(kind, 1, 3, 6);
		size_t differing = 0, count, first, total;

		for (size_t step = 90; step-- > 0;) { /* backwards: any step at any time */
			const uint32_t *expected =
				shard_step(one, 89 - step, &count, &first, &total);
			const uint32_t *again,
				*strange = shard_step(other, 89 - step, &count, &first, &total);

			for (size_t i = 0; i < count; i++)
				differing += expected[i] != strange[i];
			shard_step(same, step, &count, &first, &total);
			again = shard_step(same, 89 - step, &count, &first, &total);
			assert_memory_equal(again, expected, count * sizeof(*again));
		}
		assert_true(differing > 0);
		shard_free(one);
		shard_free(same);
		shard_free(other);
	}
}

/* Follows every rank long enough to see all of its samples; owner[] gets who shows which. */
static void find_owners(int kind, int world, int *owner, size_t *sizes)
{
	for (size_t i = 0; i < SAMPLES; i++)
		owner[i] = -1;
	for (int r = 0; r < world; r++) {
		struct shard *shard = new_shard(kind, r, world, 11);
		size_t count, first, total, shown = 0;

		sizes[r] = 0;
		for (size_t step = 0; shown < SAMPLES; step++) {
			const uint32_t *index = shard_step(shard, step, &count, &first, &total);

			for (size_t i = 0; i < count; i++) {
				assert_true(owner[index[i]] == -1 || owner[index[i]] == r);
				sizes[r] += owner[index[i]] == -1;
				owner[index[i]] = r;
			}
			shown += count;
		}
		assert_true(sizes[r] > 0);
		shard_free(shard);
	}
	for (size_t i = 0; i < SAMPLES; i++)
		assert_int_not_equal(owner[i], -1);
}

static void other_kinds_give_each_sample_to_exactly_one_rank(void **state)
{
	static const int worlds[] = { 1, 2, 3, 8, 40 };
	size_t sizes[40];
	int owner[SAMPLES];

	(void)state;
	for (size_t w = 0; w < ARRAY_SIZE(worlds); w++)
		for (int kind = SHARD_BY_LABEL; kind <= SHARD_DIRICHLET; kind++)
			find_owners(kind, worlds[w], owner, sizes);
}

static void a_rank_sees_all_of_its_own_before_any_of_them_again(void **state)
{
	struct shard *shard = new_shard(SHARD_BY_LABEL, 0, 2, 4);
	uint32_t shown[2][SAMPLES / 2 + 1];
	unsigned char seen[SAMPLES] = { 0 };
	size_t own = SAMPLES / 2 + 1, at = 0, count, first, total;

	(void)state;
	for (size_t step = 0; at < 2 * own; step++) {
		const uint32_t *index = shard_step(shard, step, &count, &first, &total);

		for (size_t i = 0; i < count && at < 2 * own; i++, at++) {
			shown[at / own][at % own] = index[i];
			assert_int_equal(seen[index[i]]++, at / own);
		}
	}
	assert_memory_not_equal(shown[0], shown[1], sizeof(shown[0]));
	shard_free(shard);
}

static void by_label_gives_neighbouring_labels_and_equal_parts(void **state)
{
	size_t sizes[5];
	int owner[SAMPLES];
	float low[5], high[5];

	(void)state;
	find_owners(SHARD_BY_LABEL, 5, owner, sizes);
	for (int r = 0; r < 5; r++) {
		assert_true(sizes[r] == SAMPLES / 5 || sizes[r] == SAMPLES / 5 + 1);
		low[r] = CLASSES;
		high[r] = -1;
	}
	for (size_t i = 0; i < SAMPLES; i++) {
		if (targets[i] < low[owner[i]])
			low[owner[i]] = targets[i];
		if (targets[i] > high[owner[i]])
			high[owner[i]] = targets[i];
	}
	for (int r = 1; r < 5; r++)
		assert_true(low[r] >= high[r - 1]);
}

/* Bits of the labels that each rank has, and how many ranks have each label. */
static void find_held(size_t classes, int world, unsigned *held, size_t *holders)
{
	struct shard_params params = { .kind = SHARD_CLASSES, .classes = classes };

	memset(holders, 0, CLASSES * sizeof(*holders));
	for (int r = 0; r < world; r++) {
		struct shard *shard = shard_new(&params, &dataset, BATCH, r, world, 3);
		size_t count, first, total;

		held[r] = 0;
		for (size_t step = 0; step < 200; step++) {
			const uint32_t *index = shard_step(shard, step, &count, &first, &total);

			for (size_t i = 0; i < count; i++)
				held[r] |= 1u << (size_t)targets[index[i]];
		}
		for (size_t c = 0; c < CLASSES; c++)
			holders[c] += held[r] >> c & 1;
		shard_free(shard);
	}
}

static void classes_are_dealt_evenly_and_not_the_same_to_all(void **state)
{
	unsigned held[8];
	size_t holders[CLASSES];
	bool differ = false;

	(void)state;
	find_held(4, 8, held, holders);
	for (int r = 0; r < 8; r++) {
		assert_int_equal(__builtin_popcount(held[r]), 4);
		differ = differ || held[r] != held[0];
	}
	assert_true(differ);
	for (size_t c = 0; c < CLASSES; c++)
		assert_in_range(holders[c], 8 * 4 / CLASSES, 8 * 4 / CLASSES + 1);
}

/* No label is left out, and no rank has one twice. */
static void too_few_and_too_many_classes_are_as_many_as_there_must_be(void **state)
{
	unsigned held[2];
	size_t holders[CLASSES];

	(void)state;
	find_held(1, 2, held, holders);
	for (size_t c = 0; c < CLASSES; c++)
		assert_in_range(holders[c], 1, 2);
	find_held(100, 2, held, holders);
	for (size_t c = 0; c < CLASSES; c++)
		assert_int_equal(holders[c], 2);
}

/* Mean over ranks of the largest fraction that one label has among the rank's samples. */
static double skew(double alpha)
{
	struct shard_params params = { .kind = SHARD_DIRICHLET, .alpha = alpha };
	double sum = 0;

	for (int r = 0; r < 4; r++) {
		struct shard *shard = shard_new(&params, &dataset, BATCH, r, 4, 2);
		size_t seen[CLASSES] = { 0 }, most = 0, all = 0, count, first, total;

		for (size_t step = 0; step < 200; step++) {
			const uint32_t *index = shard_step(shard, step, &count, &first, &total);

			for (size_t i = 0; i < count; i++)
				seen[(size_t)targets[index[i]]]++;
			all += count;
		}
		for (size_t c = 0; c < CLASSES; c++)
			most = seen[c] > most ? seen[c] : most;
		sum += (double)most / (double)all;
		shard_free(shard);
	}
	return sum / 4;
}

static void a_small_alpha_skews_labels_and_a_large_one_does_not(void **state)
{
	(void)state;
	assert_true(skew(0.001) > 0.3);
	assert_true(skew(0.05) > skew(1));
	assert_true(skew(1e6) < 0.2); /* the labels themselves: up to 2 of 13 */
}

static void a_batch_larger_than_the_data_takes_all_of_it(void **state)
{
	static const int kinds[] = { SHARD_IID, SHARD_BY_LABEL, SHARD_CLASSES, SHARD_DIRICHLET };
	struct dataset few = { .count = 3, .targets = targets, .classes = CLASSES };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct shard_params params = { .kind = kinds[k], .classes = 2, .alpha = 0.01 };
		struct shard *shards[5];
		uint32_t all[BATCH];
		unsigned seen = 0;

		for (int r = 0; r < 5; r++)
			shards[r] = shard_new(&params, &few, BATCH, r, 5, 1);
		assert_int_equal(shard_steps_per_epoch(shards[0]), 1);
		assert_int_equal(whole_step(shards, 5, 4, all), 3);
		for (size_t i = 0; i < 3; i++)
			seen |= 1u << all[i];
		assert_int_equal(seen, 7);
		for (int r = 0; r < 5; r++)
			shard_free(shards[r]);
	}
}

static void values_to_regress_are_split_by_size(void **state)
{
	struct dataset values = { .count = SAMPLES, .targets = targets };
	struct shard_params params = { .kind = SHARD_DIRICHLET, .alpha = 0.1 };
	unsigned char seen[SAMPLES] = { 0 };
	size_t sum = 0;

	(void)state;
	for (int r = 0; r < 2; r++) {
		struct shard *shard = shard_new(&params, &values, BATCH, r, 2, 1);
		size_t count, first, total;

		for (size_t step = 0; step < 50; step++) {
			const uint32_t *index = shard_step(shard, step, &count, &first, &total);

			for (size_t i = 0; i < count; i++)
				seen[index[i]] |= (unsigned char)(1 << r);
		}
		shard_free(shard);
	}
	for (size_t i = 0; i < SAMPLES; i++) {
		assert_int_not_equal(seen[i], 3);
		sum += seen[i] != 0;
	}
	assert_int_equal(sum, SAMPLES);
}

static const struct place here = { .file = "recipe.yaml", .line = 8, .column = 10 };

struct outcome {
	struct shard_params params;
	char *resolved, *problems;
};

static struct outcome read_shard(const char *key, const char *value)
{
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	struct buf text = { 0 };
	struct outcome outcome;

	if (value)
		settings_set(&given, key, value, here);
	else if (key)
		settings_add(&given, key, SETTING_SECTION, here);
	shard_read(&given, &outcome.params, &resolved, &problems);
	settings_report_unused(&given, &resolved, &problems);
	settings_print(&resolved, &text);
	outcome.resolved = buf_take(&text);
	outcome.problems = buf_take(&problems.text);
	settings_release(&given);
	settings_release(&resolved);
	return outcome;
}

static void assert_read(const char *key, const char *value, int kind, double alpha,
			const char *resolved, const char *problems)
{
	struct outcome outcome = read_shard(key, value);

	assert_string_equal(outcome.problems, problems);
	if (!problems[0]) {
		assert_int_equal(outcome.params.kind, kind);
		assert_true(kind != SHARD_DIRICHLET || outcome.params.alpha == alpha);
		assert_string_equal(outcome.resolved, resolved);
	}
	free(outcome.resolved);
	free(outcome.problems);
}

static void recipes_name_a_kind_or_an_alpha(void **state)
{
	(void)state;
	assert_read(NULL, NULL, SHARD_IID, 0, "data:\n  shard: iid\n", "");
	assert_read("data.shard", "by_label", SHARD_BY_LABEL, 0, "data:\n  shard: by_label\n", "");
	assert_read("data.shard", "classes", SHARD_CLASSES, 0, "data:\n  shard:\n    classes: 2\n",
		    "");
	assert_read("data.shard.classes", "5", SHARD_CLASSES, 0,
		    "data:\n  shard:\n    classes: 5\n", "");
	assert_read("data.shard", "dirichlet", SHARD_DIRICHLET, 0.5,
		    "data:\n  shard:\n    dirichlet: 0.5\n", "");
	assert_read("data.shard.dirichlet", "0.3", SHARD_DIRICHLET, 0.3,
		    "data:\n  shard:\n    dirichlet: 0.3\n", "");
}

static void wrong_kinds_and_alphas_are_problems(void **state)
{
	(void)state;
	assert_read("data.shard", "by_lable", 0, 0, "",
		    "recipe.yaml:8:10: data.shard: unknown value 'by_lable'; did you mean "
		    "'by_label'?\n");
	assert_read("data.shard", "[iid]", 0, 0, "",
		    "recipe.yaml:8:10: data.shard: needs one value, not a list\n");
	assert_read("data.shard.classes", "0", 0, 0, "",
		    "recipe.yaml:8:10: data.shard.classes: '0' is out of range: 1 to 1000000\n");
	assert_read("data.shard.dirichlet", "0", 0, 0, "",
		    "recipe.yaml:8:10: data.shard.dirichlet: '0' is out of range: 0.001 to "
		    "1000000\n");
	assert_read("data.shard.dirichlet", "nan", 0, 0, "",
		    "recipe.yaml:8:10: data.shard.dirichlet: 'nan' is not a finite number\n");
	assert_read("data.shard", NULL, 0, 0, "",
		    "recipe.yaml: missing key 'data.shard.dirichlet' (skew of labels: small is "
		    "much)\n");
}

static void a_text_is_dealt_in_stretches(void **state)
{
	struct dataset text = { .count = SAMPLES, .classes = CLASSES, .vocabulary = CLASSES };
	struct shard_params params = { .kind = SHARD_BY_LABEL };

	(void)state;
	for (int r = 0; r < 4; r++) {
		struct shard *shard = shard_new(&params, &text, BATCH, r, 4, 1);
		uint32_t low = SAMPLES, high = 0;
		size_t count, first, total;

		for (size_t step = 0; step < 50; step++) {
			const uint32_t *index = shard_step(shard, step, &count, &first, &total);

			for (size_t i = 0; i < count; i++) {
				low = index[i] < low ? index[i] : low;
				high = index[i] > high ? index[i] : high;
			}
		}
		assert_in_range(low, (uint32_t)(r * SAMPLES / 4), (uint32_t)(r * SAMPLES / 4 + 1));
		assert_in_range(high - low + 1, SAMPLES / 4, SAMPLES / 4 + 1);
		shard_free(shard);
	}
	params = (struct shard_params){ .kind = SHARD_DIRICHLET, .alpha = 0.1 };
	shard_free(shard_new(&params, &text, BATCH, 1, 4, 1));
}

static void unequal_shares_are_of_the_same_batches(void **state)
{
	static const size_t share[] = { 3, 40, 7 };
	struct shard *alone = new_shard(SHARD_IID, 0, 1, 7), *shards[3];
	size_t first = 0;

	(void)state;
	for (int r = 0; r < 3; first += share[r++]) {
		shards[r] = new_shard(SHARD_IID, r, 3, 7);
		shard_reserve(shards[r], 40);
		shard_share(shards[r], first, share[r]);
	}
	for (size_t step = 0; step < 30; step++) {
		uint32_t expected[BATCH], got[BATCH];

		whole_step(&alone, 1, step, expected);
		assert_int_equal(whole_step(shards, 3, step, got), BATCH);
		assert_memory_equal(got, expected, sizeof(got));
	}
	for (int r = 0; r < 3; r++)
		shard_free(shards[r]);
	shard_free(alone);
}

/* What a rank says that all have is what they draw in a pass. */
static void all_ranks_know_how_many_samples_each_has(void **state)
{
	enum { WORLD = 5 };

	(void)state;
	for (int kind = SHARD_IID; kind <= SHARD_DIRICHLET; kind++) {
		const size_t *first = NULL;
		struct shard *shards[WORLD];
		size_t sum = 0;

		for (int r = 0; r < WORLD; r++) {
			const size_t *sizes;

			shards[r] = new_shard(kind, r, WORLD, 7);
			sizes = shard_sizes(shards[r]);
			assert_true((sizes == NULL) == (kind == SHARD_IID));
			first = r == 0 ? sizes : first;
			if (first)
				assert_memory_equal(sizes, first, WORLD * sizeof(*sizes));
			sum += sizes ? sizes[r] : 0;
		}
		assert_int_equal(sum, kind == SHARD_IID ? 0 : SAMPLES);
		if (kind == SHARD_DIRICHLET)
			assert_true(first[0] != first[1]);
		for (int r = 0; r < WORLD; r++)
			shard_free(shards[r]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iid_gives_the_same_batches_to_any_number_of_ranks),
		cmocka_unit_test(an_epoch_shows_no_sample_twice),
		cmocka_unit_test(the_seed_alone_decides_the_order),
		cmocka_unit_test(other_kinds_give_each_sample_to_exactly_one_rank),
		cmocka_unit_test(a_rank_sees_all_of_its_own_before_any_of_them_again),
		cmocka_unit_test(by_label_gives_neighbouring_labels_and_equal_parts),
		cmocka_unit_test(classes_are_dealt_evenly_and_not_the_same_to_all),
		cmocka_unit_test(too_few_and_too_many_classes_are_as_many_as_there_must_be),
		cmocka_unit_test(a_small_alpha_skews_labels_and_a_large_one_does_not),
		cmocka_unit_test(a_batch_larger_than_the_data_takes_all_of_it),
		cmocka_unit_test(values_to_regress_are_split_by_size),
		cmocka_unit_test(a_text_is_dealt_in_stretches),
		cmocka_unit_test(recipes_name_a_kind_or_an_alpha),
		cmocka_unit_test(wrong_kinds_and_alphas_are_problems),
		cmocka_unit_test(unequal_shares_are_of_the_same_batches),
		cmocka_unit_test(all_ranks_know_how_many_samples_each_has),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
