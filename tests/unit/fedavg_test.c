/* Federated averaging: who is drawn, what the mean is, and what those get who were not. */
#include "tests/unit/unit.h"

#include "runtime/sync/round.h"
#include "tests/unit/rounds.h"

enum { PERIOD = 3, WORLD = 4, LAST = 96 };

static const char *const two_clients[] = { "period", "3", "clients", "2", NULL };

/* With a plain step of the optimizer, and nothing exchanged. */
static double trained(const struct trial *trial, size_t step, int rank, size_t i)
{
	return (double)trial->x[step][rank][i] -
	       (double)trial->rate * (double)trial->gradient[step][rank][i];
}

static void all_clients_with_equal_shares_are_local_sgd_bit_for_bit(void **state)
{
	struct trial like = { .strategy = "local_sgd",
			      .options = (const char *const[]){ "period", "3", NULL },
			      .world = 3,
			      .steps = 42,
			      .rate = 0.1f,
			      .momentum = 0.5f };
	struct trial *local = trial_ran(&like), *fedavg;

	(void)state;
	like.strategy = "fedavg";
	fedavg = trial_ran(&like);
	assert_true(trial_same(local, fedavg));
	free(local);
	free(fedavg);
}

static bool is_mean_of(const struct trial *trial, size_t step, const bool *drawn)
{
	int clients = 0;

	for (int r = 0; r < trial->world; r++)
		clients += drawn[r];
	for (size_t i = 0; i < COUNT; i++) {
		double mean = 0;

		for (int r = 0; r < trial->world; r++)
			mean += drawn[r] ? trained(trial, step, r, i) / clients : 0;
		if (fabs(mean - (double)trial->x[step + 1][0][i]) > 1e-5)
			return false;
	}
	return true;
}

/* Which pair a round has is seen from what came of it, and that no other would do. */
static void pairs_are_drawn_each_alike_and_all_get_their_mean(void **state)
{
	struct trial *trial = trial_ran(&(struct trial){ .strategy = "fedavg",
							 .options = two_clients,
							 .world = WORLD,
							 .steps = LAST,
							 .rate = 0.1f });
	int pairs = 0, times[WORLD] = { 0 };
	bool seen[WORLD][WORLD] = { 0 };

	(void)state;
	for (size_t step = PERIOD - 1; step < LAST; step += PERIOD) {
		int found = 0;

		assert_true(trial_ranks_agree(trial, step + 1));
		for (int a = 0; a < WORLD; a++) {
			for (int b = a + 1; b < WORLD; b++) {
				bool drawn[WORLD] = { [0] = a == 0 };

				drawn[a] = drawn[b] = true;
				if (!is_mean_of(trial, step, drawn))
					continue;
				found++;
				pairs += !seen[a][b];
				seen[a][b] = true;
				times[a]++;
				times[b]++;
			}
		}
		assert_int_equal(found, 1);
	}
	assert_int_equal(pairs, 6);
	for (int r = 0; r < WORLD; r++)
		assert_in_range(times[r], 8, 24);
	free(trial);
}

static void another_seed_is_another_draw_and_the_same_is_the_same(void **state)
{
	struct trial like = { .strategy = "fedavg",
			      .options = two_clients,
			      .world = WORLD,
			      .steps = 30,
			      .rate = 0.1f };
	struct trial *first = trial_ran(&like), *again = trial_ran(&like), *other;

	(void)state;
	like.seed = 43;
	other = trial_ran(&like);
	assert_true(trial_same(first, again));
	assert_false(trial_same(first, other));
	free(first);
	free(again);
	free(other);
}

/* A client sends its half of a pair's sum and of what comes of it; one of them sends the result to
 * those who were not drawn, of whom the first may pass it on to the other. */
static void who_is_not_drawn_adds_nothing_to_the_sum(void **state)
{
	struct trial *trial = trial_ran(&(struct trial){ .strategy = "fedavg",
							 .options = two_clients,
							 .world = WORLD,
							 .steps = 30,
							 .rate = 0.1f });
	const uint64_t whole = COUNT * sizeof(float);

	(void)state;
	for (size_t s = 1; s <= trial->steps; s++) {
		uint64_t sum = 0;

		for (int r = 0; r < WORLD; r++)
			sum += trial->payload[s][r] - trial->payload[s - 1][r];
		assert_int_equal(sum, s % PERIOD == 0 ? 4 * whole : 0);
	}
	free(trial);
}

/* All are drawn, and get the mean by these parts, which sum to 1. */
static void check_means(const struct trial *trial, const double *part)
{
	for (size_t step = PERIOD - 1; step < trial->steps; step += PERIOD) {
		assert_true(trial_ranks_agree(trial, step + 1));
		for (size_t i = 0; i < COUNT; i++) {
			double mean = 0;

			for (int r = 0; r < WORLD; r++)
				mean += part[r] * trained(trial, step, r, i);
			assert_true(fabs(mean - (double)trial->x[step + 1][0][i]) < 1e-5);
		}
	}
}

static void the_mean_is_weighted_by_samples(void **state)
{
	static const double share[WORLD] = { 0.1, 0.2, 0.3, 0.4 };
	struct trial *trial =
		trial_ran(&(struct trial){ .strategy = "fedavg",
					   .options = (const char *const[]){ "period", "3", NULL },
					   .world = WORLD,
					   .steps = 30,
					   .rate = 0.1f,
					   .share = share });

	(void)state;
	check_means(trial, share);
	free(trial);
}

/* n_k / n of those drawn, whatever part of a batch each takes. */
static void samples_that_ranks_have_of_their_own_count_before_shares(void **state)
{
	static const double share[WORLD] = { 0.4, 0.3, 0.2, 0.1 };
	static const size_t samples[WORLD] = { 1, 200, 3000, 799 };
	static const double part[WORLD] = { 1 / 4000.0, 200 / 4000.0, 3000 / 4000.0, 799 / 4000.0 };
	struct trial *trial =
		trial_ran(&(struct trial){ .strategy = "fedavg",
					   .options = (const char *const[]){ "period", "3", NULL },
					   .world = WORLD,
					   .steps = 30,
					   .rate = 0.1f,
					   .share = share,
					   .samples = samples });

	(void)state;
	check_means(trial, part);
	free(trial);
}

/* Weights that are equal and learn nothing: whatever their shares and whoever is drawn. */
static void nothing_that_is_learnt_changes_nothing(void **state)
{
	static const double share[] = { 0.17, 0.33, 0.5 };
	struct trial *trial = trial_ran(&(struct trial){ .strategy = "fedavg",
							 .options = two_clients,
							 .world = 3,
							 .steps = 30,
							 .share = share });

	(void)state;
	for (size_t s = 1; s <= trial->steps; s++)
		assert_true(trial_ranks_agree(trial, s) &&
			    memcmp(trial->x[s], trial->x[0], sizeof(trial->x[s][0])) == 0);
	free(trial);
}

/* What a compressor left out is sent later, also by those who were not drawn meanwhile: where
 * nothing is learnt any more, nothing is left of it. */
static void what_is_owed_is_kept_until_a_rank_is_drawn_again(void **state)
{
	static const double share[WORLD] = { 0.1, 0.2, 0.3, 0.4 };
	struct trial like = { .strategy = "fedavg",
			      .options = two_clients,
			      .compressor = "sign",
			      .world = WORLD,
			      .steps = PERIOD,
			      .rate = 0.1f,
			      .share = share };
	struct trial *first = trial_ran(&like), *later;
	double owed = 0, left = 0;

	(void)state;
	like.from = first;
	like.first_step = PERIOD;
	like.steps = LAST;
	like.rate = 0;
	later = trial_ran(&like);
	for (int r = 0; r < WORLD; r++) {
		assert_memory_equal(trial_kept(later, r, "model"), trial_kept(later, 0, "model"),
				    sizeof(float) * COUNT);
		for (size_t i = 0; i < COUNT; i++) {
			owed += pow((double)trial_kept(first, r, "debt")[i], 2);
			left += pow((double)trial_kept(later, r, "debt")[i], 2);
		}
	}
	assert_true(owed > 0 && left < 0.01 * owed);
	free(first);
	free(later);
}

static void a_run_that_was_stopped_goes_on_within_a_round(void **state)
{
	static const char *const schemes[] = { "none", "topk", "qsgd" };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(schemes); k++)
		for (size_t stop = 9; stop < 12; stop++)
			assert_true(trial_resumes(&(struct trial){ .strategy = "fedavg",
								   .options = two_clients,
								   .compressor = schemes[k],
								   .world = WORLD,
								   .steps = 25,
								   .rate = 0.1f },
						  stop));
}

/* As rank `own` of that world sees it. */
static void look_at_round(struct round *round, struct group *world, int own, size_t number)
{
	world->index = own;
	round->env.world = world;
	assert_true(round_ends(round, number * round->params.period));
	assert_int_equal(round->audience.ranks[round->audience.index], own);
}

/* So that nobody sends the mean more often than once for each other that there is for a client. */
static void each_client_tells_its_part_of_the_others(void **state)
{
	(void)state;
	for (int count = 2; count <= CLUSTER_MAX; count += SPACING) {
		int ranks[CLUSTER_MAX], drawn[CLUSTER_MAX], not_drawn[CLUSTER_MAX],
			hearing[CLUSTER_MAX];
		struct group world = group_world(ranks, count, 0);

		for (int clients = 1; clients <= count; clients++) {
			struct round round = { .params = { 1, (size_t)clients },
					       .env = { .seed = 3 },
					       .drawn = drawn,
					       .not_drawn = not_drawn,
					       .hearing = hearing };
			int told[CLUSTER_MAX] = { 0 }, most = (count - 1) / clients;

			for (int own = 0; own < count; own++) {
				look_at_round(&round, &world, own, (size_t)clients);
				assert_true(round.is_client == (round.audience.index == 0));
				assert_true(round.audience.count - 1 <= most);
				for (int i = 1; i < round.audience.count && round.is_client; i++)
					told[round.audience.ranks[i]]++;
			}
			for (int own = 0; own < count; own++) {
				look_at_round(&round, &world, own, (size_t)clients);
				assert_int_equal(told[own], !round.is_client);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_clients_with_equal_shares_are_local_sgd_bit_for_bit),
		cmocka_unit_test(pairs_are_drawn_each_alike_and_all_get_their_mean),
		cmocka_unit_test(another_seed_is_another_draw_and_the_same_is_the_same),
		cmocka_unit_test(who_is_not_drawn_adds_nothing_to_the_sum),
		cmocka_unit_test(the_mean_is_weighted_by_samples),
		cmocka_unit_test(samples_that_ranks_have_of_their_own_count_before_shares),
		cmocka_unit_test(each_client_tells_its_part_of_the_others),
		cmocka_unit_test(nothing_that_is_learnt_changes_nothing),
		cmocka_unit_test(what_is_owed_is_kept_until_a_rank_is_drawn_again),
		cmocka_unit_test(a_run_that_was_stopped_goes_on_within_a_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
