/* Local SGD with an outer optimizer. */
#include "tests/unit/unit.h"

#include "tests/unit/rounds.h"

static void one_and_no_momentum_is_local_sgd_bit_for_bit(void **state)
{
	struct trial like = { .strategy = "local_sgd",
			      .options = (const char *const[]){ "period", "5", NULL },
			      .world = 3,
			      .steps = 42,
			      .rate = 0.1f,
			      .momentum = 0.5f };
	struct trial *local = trial_ran(&like), *diloco;

	(void)state;
	like.strategy = "diloco";
	like.options = (const char *const[]){ "period",		"5", "outer_lr", "1",
					      "outer_momentum", "0", NULL };
	diloco = trial_ran(&like);
	assert_true(trial_same(local, diloco));
	free(local);
	free(diloco);
}

/* As torch.optim.SGD with nesterov does it, whose gradient is minus the change of the mean. */
static void rounds_end_where_nesterov_takes_them(void **state)
{
	enum { PERIOD = 4 };
	struct trial *trial = trial_ran(
		&(struct trial){ .strategy = "diloco",
				 .options = (const char *const[]){ "period", "4", "outer_lr", "0.7",
								   "outer_momentum", "0.8", NULL },
				 .world = 4,
				 .steps = 40,
				 .rate = 0.1f });
	double velocity[COUNT] = { 0 }, model[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		model[i] = trial->x[0][0][i];
	for (size_t end = PERIOD; end <= trial->steps; end += PERIOD) {
		assert_true(trial_ranks_agree(trial, end) && !trial_ranks_agree(trial, end - 1));
		for (size_t i = 0; i < COUNT; i++) {
			double gradient = model[i];

			for (int r = 0; r < trial->world; r++)
				gradient -= (trial->x[end - 1][r][i] -
					     0.1 * trial->gradient[end - 1][r][i]) /
					    trial->world;
			velocity[i] = 0.8 * velocity[i] + gradient;
			model[i] -= 0.7 * (gradient + 0.8 * velocity[i]);
			assert_true(fabs(model[i] - trial->x[end][0][i]) < 1e-5);
			model[i] = trial->x[end][0][i];
		}
	}
	free(trial);
}

static void a_run_that_was_stopped_keeps_its_momentum(void **state)
{
	static const char *const options[] = { "period", "5", NULL };
	static const char *const schemes[] = { "none", "topk", "qsgd" };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(schemes); k++)
		for (size_t stop = 9; stop < 12; stop++)
			assert_true(trial_resumes(&(struct trial){ .strategy = "diloco",
								   .options = options,
								   .compressor = schemes[k],
								   .world = 4,
								   .steps = 25,
								   .rate = 0.1f },
						  stop));
}

/* What ranks agreed on is what differences refer to, and moves as the weights do. */
static void a_compressed_model_is_the_same_everywhere_and_near_the_plain_one(void **state)
{
	struct trial like = { .strategy = "diloco",
			      .options = (const char *const[]){ "period", "4", "outer_momentum",
								"0.5", NULL },
			      .world = 4,
			      .steps = 96,
			      .rate = 0.1f };
	struct trial *plain = trial_ran(&like), *compressed;
	double apart = 0, moved = 0;

	(void)state;
	like.compressor = "int8";
	compressed = trial_ran(&like);
	for (int r = 0; r < 4; r++)
		assert_memory_equal(trial_kept(compressed, r, "model"),
				    trial_kept(compressed, 0, "model"), COUNT * sizeof(float));
	for (size_t i = 0; i < COUNT; i++) {
		apart += pow(trial_kept(plain, 0, "model")[i] -
				     trial_kept(compressed, 0, "model")[i],
			     2);
		moved += pow(trial_kept(plain, 0, "model")[i] - plain->x[0][0][i], 2);
	}
	assert_true(apart > 0 && sqrt(apart / moved) < 0.02);
	free(plain);
	free(compressed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_and_no_momentum_is_local_sgd_bit_for_bit),
		cmocka_unit_test(rounds_end_where_nesterov_takes_them),
		cmocka_unit_test(a_run_that_was_stopped_keeps_its_momentum),
		cmocka_unit_test(a_compressed_model_is_the_same_everywhere_and_near_the_plain_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
