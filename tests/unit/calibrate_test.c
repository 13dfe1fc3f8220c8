/* What a rank computes in a step, tried out. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/recipe.h"
#include "runtime/calibrate.h"
#include "runtime/data/data.h"
#include "runtime/job.h"
#include "runtime/outfit.h"

static int try_out(size_t hidden, size_t batch, double *step_s, struct error *err)
{
	char *text = xasprintf("data: {format: synthetic, samples: 400, features: 64, classes: 2}\n"
			       "model: {preset: mlp, hidden: [%zu]}\n"
			       "train: {batch: %zu, threads: 1}\n",
			       hidden, batch);
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	struct job job = { 0 };
	struct dataset train = { 0 }, test = { 0 };
	struct outfit_env env = {
		.job = &job, .train = &train, .test = &test, .world = 2, .rank = 1, .ranks_here = 1
	};
	const struct data_format *format;
	int status;

	assert_int_equal(recipe_parse(&given, text, strlen(text), "r", &problems, err), 0);
	job_read(&job, &given, &resolved, &problems);
	assert_string_equal(buf_text(&problems.text), "");
	format = PART_AS(&job.data, struct data_format);
	assert_int_equal(format->load(job.data.params, DATA_TRAIN, 1, &train, err), 0);
	assert_int_equal(format->load(job.data.params, DATA_TEST, 1, &test, err), 0);
	status = calibrate(&env, step_s, err);
	dataset_release(&train);
	dataset_release(&test);
	job_release(&job);
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
	free(text);
	return status;
}

static void a_larger_model_takes_longer(void **state)
{
	double small = NAN, large = NAN;
	struct error err;

	(void)state;
	assert_int_equal(try_out(4, 200, &small, &err), 0);
	assert_int_equal(try_out(4000, 200, &large, &err), 0);
	assert_true(small > 0);
	assert_true(large > 5 * small);
}

static void what_cannot_be_trained_is_said(void **state)
{
	struct error err;
	double seconds;

	(void)state;
	assert_int_equal(try_out(4, 500, &seconds, &err), -1);
	assert_string_equal(err.text, "train.batch: 500 is more than the 400 training samples");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_larger_model_takes_longer),
		cmocka_unit_test(what_cannot_be_trained_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
