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

enum { STEPS = 10, SALTS = 9973 };
static const double tolerance = 1e-5;

struct params {
	struct opt_counts shape;
	size_t vocabulary, filled, classes, batch;
	double clip;
};

static const struct opt options[] = {
	{ "shape", OPT_COUNTS, offsetof(struct params, shape), NULL, "of a sample" },
	{ "vocabulary", OPT_COUNT, offsetof(struct params, vocabulary), "0", "texts" },
	{ "filled", OPT_COUNT, offsetof(struct params, filled), "0", "features of a sparse row" },
	{ "classes", OPT_COUNT, offsetof(struct params, classes), "0", "0: regression" },
	{ "batch", OPT_COUNT, offsetof(struct params, batch), NULL, "samples of a step" },
	{ "clip", OPT_REAL, offsetof(struct params, clip), "0", "largest norm" },
	{ 0 }
};

struct run {
	struct params params;
	struct shape shape;
	struct part preset, optimizer, schedule;
	struct optim_params optim_params;
	struct schedule_params schedule_params;
	struct model *model;
	struct optim *optim;
	float *weight, *grad;
	double *first_norm; /* of each tensor's gradient in the first step */
	struct batch batch;
	uint32_t *index; /* of sparse rows */
	float *value;
	double loss[STEPS], norm[STEPS];
};

static size_t whole_number(size_t i, size_t salt)
{
	return (i * 7919 + salt * 104729) % SALTS;
}

/* numbers() of trajectory.py */
static double number(size_t i, size_t salt)
{
	return (double)whole_number(i, salt) / SALTS * 2 - 1;
}

static size_t salt_of(const char *name)
{
	size_t salt = 0;

	for (; *name; name++)
		salt = (salt * 31 + (unsigned char)*name) % SALTS;
	return salt;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), rest = strlen(end);

	return length >= rest && strcmp(text + length - rest, end) == 0;
}

static void set_weights(struct run *r)
{
	size_t count;
	const struct tensor *tensor = model_tensors(r->model, &count);

	for (size_t t = 0; t < count; t++) {
		const struct tensor *to = &tensor[t];
		bool vector = to->shape.rank < 2;
		bool factor = ends_with(to->name, "weight") || ends_with(to->name, "running_var");
		double middle = vector && factor ? 1 : 0, scale = 0.1;

		if (!vector)
			scale = 1 / sqrt((double)(to->count / to->shape.dim[0]));
		for (size_t i = 0; i < to->count; i++)
			r->weight[to->offset + i] =
				(float)(middle + number(i, salt_of(to->name)) * scale);
	}
}

/* The text of a step goes on where that of the step before ended. */
static void make_text(struct run *r, size_t step)
{
	size_t count = r->params.batch * r->shape.dim[0], at = step * count;

	for (size_t i = 0; i < count; i++) {
		r->batch.x[i] = (float)(whole_number(at + i, 0) % r->params.vocabulary);
		r->batch.targets[i] = (float)(whole_number(at + i + 1, 0) % r->params.vocabulary);
	}
}

static void make_rows(struct run *r, size_t step)
{
	size_t batch = r->params.batch, filled = r->params.filled;
	size_t part = r->shape.dim[0] / filled;

	for (size_t i = 0; i < batch * filled; i++) {
		size_t made = whole_number(step * batch * filled + i, 0);

		r->index[i] = (uint32_t)(i % filled * part + made % part);
		r->value[i] = (float)(1 + made / part % 2);
	}
	for (size_t i = 0; i < batch; i++)
		r->batch.rows[i] = (struct sparse_row){ .index = r->index + i * filled,
							.value = r->value + i * filled,
							.count = filled };
}

static void make_batch(struct run *r, size_t step)
{
	size_t batch = r->params.batch, features = batch * shape_count(&r->shape);

	r->batch.step = step;
	if (r->params.vocabulary) {
		make_text(r, step);
		return;
	}
	if (r->params.filled)
		make_rows(r, step);
	for (size_t i = 0; r->batch.x && i < features; i++)
		r->batch.x[i] = (float)number(step * features + i, 0);
	for (size_t i = 0; i < batch; i++)
		r->batch.targets[i] =
			r->params.classes ? (float)((i * i + 7 * i + 3 * step) % r->params.classes)
					  : (float)number(step * batch + i, 99);
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

static void batch_init(struct run *r)
{
	const struct params *p = &r->params;
	size_t features = shape_count(&r->shape);

	r->batch = (struct batch){
		.targets = xcalloc(p->batch * (p->vocabulary ? features : 1), sizeof(float)),
		.count = p->batch,
		.total = p->batch,
		.training = true,
	};
	if (p->filled) {
		r->batch.rows = xcalloc(p->batch, sizeof(*r->batch.rows));
		r->index = xcalloc(p->batch * p->filled, sizeof(*r->index));
		r->value = xcalloc(p->batch * p->filled, sizeof(*r->value));
	} else {
		r->batch.x = xaligned(p->batch * features * sizeof(float));
	}
}

static void run_init(struct run *r, struct settings *given)
{
	const struct tensor *tensors;
	size_t tensor_count;
	struct error err = { "" };
	struct model_env env;

	*r = (struct run){ .schedule = part_default(&schedules, "constant") };
	read_params(r, given);
	r->shape.rank = r->params.shape.count;
	for (size_t i = 0; i < r->shape.rank; i++)
		r->shape.dim[i] = r->params.shape.values[i];
	env = (struct model_env){
		.input = r->shape,
		.sparse = r->params.filled > 0,
		.classes = r->params.vocabulary ? r->params.vocabulary : r->params.classes,
		.labels = r->params.vocabulary ? r->shape.dim[0] : 1,
		.vocabulary = r->params.vocabulary,
		.max_batch = r->params.batch,
	};
	if (model_new(&r->model, &r->preset, &env, &err) < 0)
		fail_msg("%s: %s", r->preset.entry->name, err.text);
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
	r->first_norm = xcalloc(tensor_count, sizeof(*r->first_norm));
	batch_init(r);
	set_weights(r);
}

static void run_release(struct run *r)
{
	opt_release(options, &r->params);
	free(r->batch.x);
	free(r->batch.rows);
	free(r->batch.targets);
	free(r->index);
	free(r->value);
	free(r->weight);
	free(r->grad);
	free(r->first_norm);
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

static void take_norms(struct run *r)
{
	size_t count;
	const struct tensor *tensor = model_tensors(r->model, &count);

	for (size_t t = 0; t < count; t++) {
		double sum = 0;

		for (size_t i = 0; i < tensor[t].count; i++)
			sum += pow(r->grad[tensor[t].offset + i], 2);
		r->first_norm[t] = sqrt(sum);
	}
}

static void train(struct run *r)
{
	for (size_t step = 0; step < STEPS; step++) {
		struct score score;

		make_batch(r, step);
		model_forward(r->model, r->weight, &r->batch, &score);
		model_backward(r->model, r->weight, &r->batch, r->grad, ignore, NULL);
		if (step == 0)
			take_norms(r);
		r->loss[step] = score.loss_sum / (double)score.count;
		r->norm[step] = optim_step(r->optim, step, r->weight, r->grad);
	}
	make_batch(r, STEPS);
	r->batch.training = false;
	model_forward(r->model, r->weight, &r->batch, &(struct score){ 0 });
}

static const struct tensor *tensor_of(const struct run *r, const char *name, size_t *t)
{
	size_t count;
	const struct tensor *tensor = model_tensors(r->model, &count);

	for (*t = 0; *t < count; ++*t)
		if (strcmp(tensor[*t].name, name) == 0)
			return &tensor[*t];
	fail_msg("no tensor '%s'", name);
	return NULL;
}

static double weight_of(const struct run *r, const char *name, size_t i)
{
	size_t t;
	const struct tensor *tensor = tensor_of(r, name, &t);

	assert_true(i < tensor->count);
	return r->weight[tensor->offset + i];
}

static double output_of(const struct run *r, size_t i)
{
	size_t outputs;
	const float *output = model_outputs(r->model, &outputs);

	return output[i];
}

static double norm_of(const struct run *r, const char *name)
{
	size_t t;

	tensor_of(r, name, &t);
	return r->first_norm[t];
}

/* Compares one golden line; returns 1 if it holds a figure. *near is how near PyTorch's own single
 * precision comes. */
static size_t compare(const struct run *r, const char *path, const char *line, double *near)
{
	char name[64];
	double expected, got;
	size_t i;

	if (sscanf(line, "float %lf", near) == 1)
		return 0;
	if (sscanf(line, "loss %zu %lf", &i, &expected) == 2 && i < STEPS)
		got = r->loss[i];
	else if (sscanf(line, "norm %zu %lf", &i, &expected) == 2 && i < STEPS)
		got = r->norm[i];
	else if (sscanf(line, "output %zu %lf", &i, &expected) == 2)
		got = output_of(r, i);
	else if (sscanf(line, "weight %63s %zu %lf", name, &i, &expected) == 3)
		got = weight_of(r, name, i);
	else if (sscanf(line, "gradient %63s %lf", name, &expected) == 2)
		got = norm_of(r, name);
	else
		return 0;
	if (!(fabs(got - expected) <= tolerance * fmax(1, fabs(expected)) + 4 * *near))
		fail_msg("%s: '%s', but dstrain has %.9g", path, line, got);
	return 1;
}

static void repeat_case(const char *path)
{
	struct place here = { .file = path };
	struct settings given = { 0 };
	struct buf text = { 0 };
	size_t compared = 0;
	double near = 0;
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
		compared += compare(&run, path, line, &near);
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
	assert_true(cases >= 29);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_steps_of_every_case_are_pytorch_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
