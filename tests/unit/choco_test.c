/* Neighbours that tell each other compressed differences: what must hold whatever is left out. */
#include "tests/unit/unit.h"

#include <stdatomic.h>

#include "tests/unit/neighbours.h"

static const char *const compressing[] = { "choco", "push_sum_compressed" };
static const char *const few[] = { "share", "0.1", NULL };
static const char *const fixed[] = { "gamma", "1", NULL };

static struct trial *run(const struct trial *like)
{
	struct trial *trial = trial_new(like);

	trial_run(trial, "inproc");
	return trial;
}

/* Of x over all ranks; the state of push_sum_compressed begins with x and y. */
static double sum_of(const struct trial *trial, size_t i)
{
	double sum = 0;

	for (int r = 0; r < trial->world; r++)
		sum += (double)(strcmp(trial->strategy, "choco") == 0 ? trial->end[r].x[i]
								      : trial->end[r].state[i]);
	return sum;
}

/* Of push_sum_compressed: all y, each of which is more than 0. */
static double mass_of(const struct trial *trial)
{
	double mass = 0;

	for (int r = 0; r < trial->world; r++) {
		assert_true(trial->end[r].state[COUNT] > 0);
		mass += (double)trial->end[r].state[COUNT];
	}
	return mass;
}

static void without_compression_the_weights_are_those_of_mixing_as_they_are(void **state)
{
	static const char *const plain[] = { "dpsgd", "sgp" };
	static const char *const pushed[] = { "graph", "random", "gamma", "1", NULL };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(plain); s++) {
		struct trial like = { .strategy = plain[s],
				      .options = s ? pushed : fixed,
				      .world = 7,
				      .steps = 30,
				      .rate = 0.2 };
		struct trial *exact = run(&like), *compressed;

		like.strategy = compressing[s];
		compressed = run(&like);
		for (int r = 0; r < 7; r++)
			for (size_t i = 0; i < COUNT; i++)
				assert_true(fabsf(exact->end[r].x[i] - compressed->end[r].x[i]) <
					    1e-5f);
		assert_true(exact->drift[0].participants == compressed->drift[0].participants);
		free(exact);
		free(compressed);
	}
}

static void nothing_comes_or_goes_whatever_is_left_out(void **state)
{
	static const char *const schemes[] = { "topk", "sign", "qsgd", "randk" };
	static const char *const slow[] = { "gamma", "0.05", NULL };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(compressing); s++) {
		for (size_t c = 0; c < ARRAY_SIZE(schemes); c++) {
			struct trial *trial = run(&(struct trial){ .strategy = compressing[s],
								   .options = slow,
								   .scheme = schemes[c],
								   .world = 6,
								   .steps = 150 / SPACING });

			for (size_t i = 0; i < COUNT; i++)
				assert_true(fabs(sum_of(trial, i) -
						 6 * trial_mean(trial, i, false)) < 1e-4);
			assert_true(s == 0 || fabs(mass_of(trial) - 6) < 1e-5);
			free(trial);
		}
	}
}

static void ranks_come_together_where_gamma_is_small_enough(void **state)
{
	static const char *const small[] = { "gamma", "0.1", NULL };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(compressing); s++) {
		struct trial *trial = run(&(struct trial){ .strategy = compressing[s],
							   .options = small,
							   .scheme = "topk",
							   .scheme_options = few,
							   .world = SPACING > 1 ? 3 : 6,
							   .steps = 1500 });

		assert_true(trial_spread(trial) < 1e-3);
		free(trial);
	}
}

/* What it is after each step, on rank 0, and whether another rank ever had another value. */
struct found {
	_Atomic uint32_t bits[2000];
	_Atomic bool differ;
};

static void look(struct trial *trial, int rank, size_t step, const float *x,
		 const struct state_array *arrays, size_t count)
{
	struct found *found = trial->arg;
	uint32_t none = 0, mine;
	size_t gamma = 0;

	(void)rank;
	(void)x;
	while (gamma < count && strcmp(arrays[gamma].name, "gamma") != 0)
		gamma++;
	assert(gamma < count);
	memcpy(&mine, arrays[gamma].x, sizeof(mine));
	if (!atomic_compare_exchange_strong(&found->bits[step], &none, mine) && none != mine)
		atomic_store(&found->differ, true);
}

static float found_at(const struct found *found, size_t step)
{
	uint32_t bits = found->bits[step];
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* One of 120 explodes with 1. Were it not the same on all, mass would be lost. */
static void
gamma_falls_until_ranks_do_not_drive_each_other_apart_and_is_the_same_on_all(void **state)
{
	static const char *const one[] = { "count", "1", NULL };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(compressing); s++) {
		struct found *found = xcalloc(1, sizeof(*found));
		struct trial like = { .strategy = compressing[s],
				      .scheme = "topk",
				      .scheme_options = one,
				      .world = 8,
				      .steps = 1000,
				      .rate = 0.1,
				      .look = look,
				      .arg = found };
		struct trial *trial = run(&like), *wild;

		assert_false(found->differ);
		assert_true(found_at(found, 0) == 1 && found_at(found, 999) < 0.5f);
		assert_true(s == 0 || fabs(mass_of(trial) - 8) < 1e-4);
		like.look = NULL;
		like.steps = 300;
		like.options = fixed;
		wild = run(&like);
		assert_true(trial_spread(trial) < 2);
		assert_false(trial_spread(wild) < 100 * trial_spread(trial));
		free(trial);
		free(wild);
		free(found);
	}
}

static void what_is_counted_is_what_is_sent(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(compressing); s++) {
		struct trial like = { .strategy = compressing[s],
				      .options = fixed,
				      .scheme = "topk",
				      .scheme_options = few,
				      .world = 4,
				      .steps = 20 };
		struct trial *few_sent = run(&like), *all_sent;

		like.scheme = NULL;
		like.scheme_options = NULL;
		all_sent = run(&like);
		for (int r = 0; r < 4; r++) {
			assert_true(few_sent->payload[r] < all_sent->payload[r] / 3);
			assert_true((int64_t)few_sent->payload[r] + few_sent->saved[r] ==
				    (int64_t)all_sent->payload[r]);
		}
		free(few_sent);
		free(all_sent);
	}
}

static void what_goes_on_has_the_same_bits(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(compressing); s++) {
		struct trial like = { .strategy = compressing[s],
				      .scheme = "topk",
				      .scheme_options = few,
				      .world = 5,
				      .steps = 42,
				      .rate = 0.2 };

		check_resume(&like, "tcp encrypt=no");
		like.scheme = "qsgd";
		like.scheme_options = NULL;
		check_resume(&like, "inproc");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_compression_the_weights_are_those_of_mixing_as_they_are),
		cmocka_unit_test(nothing_comes_or_goes_whatever_is_left_out),
		cmocka_unit_test(ranks_come_together_where_gamma_is_small_enough),
		cmocka_unit_test(
			gamma_falls_until_ranks_do_not_drive_each_other_apart_and_is_the_same_on_all),
		cmocka_unit_test(what_is_counted_is_what_is_sent),
		cmocka_unit_test(what_goes_on_has_the_same_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
