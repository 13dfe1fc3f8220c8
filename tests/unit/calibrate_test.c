/* What a rank computes in a step, tried out. */
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cost.h"
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

/* The codec of a recipe with such a `compress:`, for a model of 65,282 numbers. */
static struct cost_codec codec_of(const char *compress, size_t ranks_here)
{
	char *text = xasprintf("data: {format: synthetic, samples: 40, features: 64, classes: 2}\n"
			       "model: {preset: mlp, hidden: [1000]}\ncompress: %s\n",
			       compress);
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	struct job job = { 0 };
	struct dataset data = { 0 };
	struct model_env env;
	struct model *model;
	struct cost_codec codec;
	struct error err;

	assert_int_equal(recipe_parse(&given, text, strlen(text), "r", &problems, &err), 0);
	job_expand(&given);
	job_read(&job, &given, &resolved, &problems);
	assert_string_equal(buf_text(&problems.text), "");
	assert_int_equal(dataset_describe(&job.data, 1, &data, &err), 0);
	env = job_model_env(&job, &data);
	env.max_batch = 1;
	env.plan_only = true;
	assert_int_equal(job_model_new(&model, &job, &env, &err), 0);
	calibrate_codec(&codec, &job, model, ranks_here);
	model_free(model);
	dataset_release(&data);
	job_release(&job);
	settings_release(&given);
	settings_release(&resolved);
	problems_release(&problems);
	free(text);
	return codec;
}

static void a_codec_is_what_the_scheme_does(void **state)
{
	struct cost_codec codec = codec_of("{scheme: qsgd, bits: 4}", 1);

	(void)state;
	assert_true(codec.ratio > 0.125 && codec.ratio < 0.13);
	assert_true(codec.encode_s > 0 && codec.decode_s > 0);
	assert_false(codec.feedback);
	assert_true(codec.bucket_bytes > 0);
	assert_true(codec_of("fp16", 1).ratio < 0.51 && codec_of("fp16", 1).ratio >= 0.5);
	assert_true(codec_of("topk", 1).ratio < 0.03);
	assert_true(codec_of("topk", 1).feedback);
	assert_false(codec_of("{scheme: topk, feedback: none}", 1).feedback);
	assert_true(codec_of("{scheme: qsgd, feedback: classic}", 1).feedback);
	assert_true(codec_of("none", 1).ratio <= 0);
	assert_true(codec_of("powersgd", 1).ratio <= 0); /* which sends no messages of a coder */
}

static void ranks_that_share_processors_wait_for_each_other(void **state)
{
	(void)state;
	assert_true(codec_of("qsgd", 1 << 20).encode_s > 100 * codec_of("qsgd", 1).encode_s);
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
		cmocka_unit_test(a_codec_is_what_the_scheme_does),
		cmocka_unit_test(ranks_that_share_processors_wait_for_each_other),
		cmocka_unit_test(what_cannot_be_trained_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
