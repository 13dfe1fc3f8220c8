/*
 * Ten steps of training against PyTorch: repeats the cases of tests/torch/trajectory.py, whose
 * figures are in tests/torch/golden, and which explains the formulas here.
 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/file.h"
#include "runtime/device/cpu.h"
#include "runtime/model/model.h"
#include "runtime/optim/optim.h"
#include "tests/unit/part.h"

#define GOLDEN "tests/torch/golden"

enum { STEPS = 10 };
static const double tolerance = 1e-5;

struct params {
	size_t inputs, classes, batch;
	double clip;
};

static const struct opt options[] = {
	{ "inputs", OPT_COUNT, offsetof(struct params, inputs), NULL, "features" },
	{ "classes", OPT_COUNT, offsetof(struct params, classes), NULL, "0: regression" },
	{ "batch", OPT_COUNT, offsetof(struct params, batch), NULL, "samples of a step" },
	{ "clip", OPT_REAL, offsetof(struct params, clip), "0", "largest norm" },
	{ 0 }
};

struct run {
	struct params params;
	struct part preset, optimizer, schedule;
	struct optim_params optim_params;
	struct schedule_params schedule_params;
	struct model *model;
	struct optim *optim;
	float *weight, *grad;
	struct batch batch;
	double loss[STEPS], norm[STEPS];
};

/* numbers() of trajectory.py */
static double number(size_t i, size_t salt)
{
	return (double)((i * 7919 + salt * 104729) % 9973) / 9973 * 2 - 1;
}

static void set_weights(struct run *r)
{
	size_t count;
	const struct tensor *tensor = model_tensors(r->model, &count);

	for (size_t t = 0; t < count; t++) {
		const struct shape *shape = &tensor[t].shape;
		double scale = shape->rank == 2 ? 1 / sqrt((double)shape->dim[1]) : 0.1;

		for (size_t i = 0; i < tensor[t].count; i++)
			r->weight[tensor[t].offset + i] = (float)(number(i, t + 1) * scale);
	}
}

static void make_batch(struct run *r, size_t step)
{
	size_t batch = r->params.batch, features = batch * r->params.inputs;

	for (size_t i = 0; i < features; i++)
		r->batch.x[i] = (float)number(step * features + i, 0);
	for (size_t i = 0; i < batch; i++)
		r->batch.targets[i] =
			r->params.classes ? (float)((i * i + 7 * i + 3 * step) % r->params.classes)
					  : (float)number(step * batch + i, 99);
	r->batch.step = step;
}

static void read_params(struct run *r, struct settings *given)
{
	struct settings resolved = { 0 };
	struct problems problems = { 0 };

	opt_read(options, given, "", &r->params, &resolved, &problems);
	registry_read(&models, given, "model", "preset", NULL, &r->preset, &resolved, &problems);
	registry_read(&optimizers, given, "optimizer", "name", NULL, &r->optimizer, &resolved,
		      &problems);
	opt_read(optim_options, given, "optimizer", &r->optim_params, &resolved, &problems);
	settings_report_unused(given, &resolved, &problems);
	assert_string_equal(buf_text(&problems.text), "");
	settings_release(&resolved);
	problems_release(&problems);
}

static void run_init(struct run *r, struct settings *given)
{
	const struct tensor *tensors;
	size_t tensor_count;
	struct model_env env;
	struct error err;

	*r = (struct run){ .schedule = part_default(&schedules, "constant") };
	read_params(r, given);
	env = (struct model_env){ .input = { .dim = { r->params.inputs }, .rank = 1 },
				  .classes = r->params.classes,
				  .max_batch = r->params.batch };
	assert_int_equal(model_new(&r->model, &r->preset, &env, &err), 0);
	tensors = model_tensors(r->model, &tensor_count);
	r->optim = optim_new(&(struct optim_env){ .optimizer = &r->optimizer,
						  .schedule = &r->schedule,
						  .params = &r->optim_params,
						  .schedule_params = &r->schedule_params,
						  .tensors = tensors,
						  .tensor_count = tensor_count,
						  .steps = STEPS,
						  .clip = r->params.clip });
	r->weight = xaligned(model_count(r->model) * sizeof(float));
	r->grad = xaligned(model_count(r->model) * sizeof(float));
	r->batch =
		(struct batch){ .x = xaligned(r->params.batch * r->params.inputs * sizeof(float)),
				.targets = xaligned(r->params.batch * sizeof(float)),
				.count = r->params.batch,
				.total = r->params.batch,
				.training = true };
	set_weights(r);
}

static void run_release(struct run *r)
{
	free(r->batch.x);
	free(r->batch.targets);
	free(r->weight);
	free(r->grad);
	optim_free(r->optim);
	model_free(r->model);
	part_release(&r->preset);
	part_release(&r->optimizer);
	part_release(&r->schedule);
}

static void ignore(void *arg, size_t offset, size_t count)
{
	(void)arg;
	(void)offset;
	(void)count;
}

static void train(struct run *r)
{
	for (size_t step = 0; step < STEPS; step++) {
		struct score score;

		make_batch(r, step);
		model_forward(r->model, r->weight, &r->batch, &score);
		model_backward(r->model, r->weight, &r->batch, r->grad, ignore, NULL);
		r->loss[step] = score.loss_sum / (double)score.count;
		r->norm[step] = optim_step(r->optim, step, r->weight, r->grad);
	}
}

static double weight_of(const struct run *r, const char *name, size_t i)
{
	size_t count;
	const struct tensor *tensor = model_tensors(r->model, &count);

	for (size_t t = 0; t < count; t++)
		if (strcmp(tensor[t].name, name) == 0 && i < tensor[t].count)
			return r->weight[tensor[t].offset + i];
	fail_msg("no element %zu of '%s'", i, name);
	return 0;
}

/* Compares one golden line; returns 1 if it holds a figure. */
static size_t compare(const struct run *r, const char *path, const char *line)
{
	char name[64];
	double expected, got;
	size_t i;

	if (sscanf(line, "loss %zu %lf", &i, &expected) == 2 && i < STEPS)
		got = r->loss[i];
	else if (sscanf(line, "norm %zu %lf", &i, &expected) == 2 && i < STEPS)
		got = r->norm[i];
	else if (sscanf(line, "weight %63s %zu %lf", name, &i, &expected) == 3)
		got = weight_of(r, name, i);
	else
		return 0;
	if (!(fabs(got - expected) <= tolerance))
		fail_msg("%s: '%s', but dstrain has %.9g", path, line, got);
	return 1;
}

static void repeat_case(const char *path)
{
	struct place here = { .file = path };
	struct settings given = { 0 };
	struct buf text = { 0 };
	size_t compared = 0;
	struct run run;
	struct error err;
	char *rest = NULL, *line;

	assert_int_equal(file_read(&text, path, 1 << 20, &err), 0);
	line = strtok_r(text.data, "\n", &rest);
	for (; line && (line[0] == '#' || strncmp(line, "set ", 4) == 0);
	     line = strtok_r(NULL, "\n", &rest)) {
		char key[64];
		int value = 0;

		if (sscanf(line, "set %63s %n", key, &value) == 1)
			settings_set(&given, key, line + value, here);
	}
	run_init(&run, &given);
	train(&run);
	for (; line; line = strtok_r(NULL, "\n", &rest))
		compared += compare(&run, path, line);
	assert_true(compared >= 2 * STEPS + 2);
	run_release(&run);
	settings_release(&given);
	buf_release(&text);
}

static void ten_steps_of_every_case_are_pytorch_s(void **state)
{
	DIR *dir = opendir(GOLDEN);
	struct dirent *entry;
	size_t cases = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char *path = path_join(GOLDEN, entry->d_name);

		if (strstr(entry->d_name, ".txt")) {
			repeat_case(path);
			cases++;
		}
		free(path);
	}
	closedir(dir);
	assert_true(cases >= 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_steps_of_every_case_are_pytorch_s),
	};

	cpu_threads(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
