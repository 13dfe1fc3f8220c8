/*
 * Comma-separated values: one sample a line, one column is the label, all others are numbers. May
 * be gzipped.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/suggest.h"
#include "lib/units.h"
#include "runtime/data/data.h"
#include "runtime/data/label.h"
#include "runtime/data/record.h"
#include "runtime/data/text_file.h"

enum header { HEADER_AUTO, HEADER_YES, HEADER_NO };
enum task { TASK_CLASSIFY, TASK_REGRESS };

static const char *const headers[] = { "auto", "yes", "no", NULL };
static const char *const tasks[] = { "classify", "regress", NULL };
static const char *const delimiter_names[] = { "comma", "semicolon", "tab", "pipe", NULL };
static const char delimiters[] = ",;\t|";

struct csv_params {
	char *path[2]; /* by enum data_part */
	char *label;
	int header, task, delimiter;
	size_t classes;
	bool standardise;
};

static const struct opt csv_options[] = {
	{ "train", OPT_PATH, offsetof(struct csv_params, path[DATA_TRAIN]), NULL,
	  "training samples, may be gzipped" },
	{ "test", OPT_PATH, offsetof(struct csv_params, path[DATA_TEST]), "",
	  "samples held out for evaluation" },
	{ "label", OPT_TEXT, offsetof(struct csv_params, label), "",
	  "column of the label: its name or number from 1; empty: the last" },
	{ "header", OPT_CHOICE, offsetof(struct csv_params, header), "auto",
	  "whether the first line names the columns; auto: if none of it is a number",
	  .choices = headers },
	{ "delimiter", OPT_CHOICE, offsetof(struct csv_params, delimiter), "comma",
	  "what stands between columns", .choices = delimiter_names },
	{ "task", OPT_CHOICE, offsetof(struct csv_params, task), "classify",
	  "whether the label is a class or a value", .choices = tasks },
	{ "classes", OPT_COUNT, offsetof(struct csv_params, classes), "0",
	  "number of classes; 0: as the training labels say", .min = 0, .max = 1 << 20 },
	{ "standardise", OPT_BOOL, offsetof(struct csv_params, standardise), "no",
	  "shift and scale features to mean 0 and variance 1 over the training samples" },
	{ 0 }
};

/* One file, read. */
struct csv {
	const char *path;
	struct buf text; /* that the labels lie in */
	size_t count, room, features, label_column;
	float *x;      /* [count][features] */
	char **labels; /* [count] */
	size_t *lines; /* [count], where each was */
};

static void csv_release(struct csv *csv)
{
	buf_release(&csv->text);
	free(csv->x);
	free(csv->labels);
	free(csv->lines);
	*csv = (struct csv){ 0 };
}

static int parse_number(const char *text, float *out, struct error *err)
{
	double value;

	if (units_real(&value, text, err) < 0)
		return -1;
	if (fabs(value) > FLT_MAX)
		return error_set(err, "'%s' is too large", text);
	*out = (float)value;
	return 0;
}

static bool is_header(const struct csv_params *params, const struct record_reader *first)
{
	struct error ignored;
	float value;

	if (params->header != HEADER_AUTO)
		return params->header == HEADER_YES;
	for (size_t i = 0; i < first->count; i++)
		if (parse_number(first->fields[i], &value, &ignored) == 0)
			return false;
	return true;
}

static int find_label(struct csv *csv, const char *label, const struct record_reader *first,
		      bool header, struct error *err)
{
	const char *const *names = (const char *const *)first->fields;
	const char *near;
	uint64_t number;

	csv->label_column = first->count - 1;
	if (!label)
		return 0;
	for (size_t i = 0; header && i < first->count; i++) {
		csv->label_column = i;
		if (strcmp(first->fields[i], label) == 0)
			return 0;
	}
	if (units_count(&number, label, err) == 0 && number >= 1 && number <= first->count) {
		csv->label_column = (size_t)number - 1;
		return 0;
	}
	near = header ? suggest(label, names, first->count) : NULL;
	if (near)
		return error_set(err, "'%s' has no column '%s'; did you mean '%s'?", csv->path,
				 label, near);
	return error_set(err, "'%s' has no column '%s' among its %zu%s", csv->path, label,
			 first->count, header ? "" : " and no line that names them");
}

static void make_room(struct csv *csv)
{
	if (csv->count < csv->room)
		return;
	csv->room = csv->room ? 2 * csv->room : 256;
	csv->x = xrealloc(csv->x, csv->room, csv->features * sizeof(*csv->x));
	csv->labels = xrealloc(csv->labels, csv->room, sizeof(*csv->labels));
	csv->lines = xrealloc(csv->lines, csv->room, sizeof(*csv->lines));
}

static int add_record(struct csv *csv, const struct record_reader *record, struct error *err)
{
	float *x;

	if (record->count != csv->features + 1)
		return error_set(err, "%zu fields, but the first record has %zu", record->count,
				 csv->features + 1);
	make_room(csv);
	x = csv->x + csv->count * csv->features;
	for (size_t i = 0; i < record->count; i++) {
		if (i == csv->label_column)
			csv->labels[csv->count] = record->fields[i];
		else if (parse_number(record->fields[i], x++, err) < 0)
			return error_prefix(err, "column %zu", i + 1);
	}
	csv->lines[csv->count++] = record->line;
	return 0;
}

static int read_records(struct csv *csv, const struct csv_params *params,
			struct record_reader *reader, struct error *err)
{
	int got = record_next(reader, err);
	bool header;

	if (got == 0)
		return error_set(err, "'%s' is empty", csv->path);
	if (got > 0) {
		header = is_header(params, reader);
		if (find_label(csv, params->label, reader, header, err) < 0)
			return -1;
		csv->features = reader->count - 1;
		if (csv->features == 0)
			return error_set(err, "'%s' has one column only; is the delimiter a %s?",
					 csv->path, delimiter_names[params->delimiter]);
		if (header)
			got = record_next(reader, err);
	}
	while (got > 0) {
		got = add_record(csv, reader, err);
		if (got == 0)
			got = record_next(reader, err);
	}
	if (got < 0)
		return error_prefix(err, "%s:%zu", csv->path, reader->line);
	if (csv->count == 0)
		return error_set(err, "'%s' has no records below its header", csv->path);
	if (csv->count > UINT32_MAX)
		return error_set(err, "'%s' has more than %u records", csv->path, UINT32_MAX);
	return 0;
}

static int csv_read(struct csv *csv, const struct csv_params *params, enum data_part part,
		    struct error *err)
{
	struct record_reader reader = { .delimiter = delimiters[params->delimiter] };
	int status;

	*csv = (struct csv){ .path = params->path[part] };
	if (text_file_read(&csv->text, csv->path, err) < 0)
		return -1;
	reader.next = csv->text.data;
	reader.end = csv->text.data + csv->text.length;
	status = read_records(csv, params, &reader, err);
	record_release(&reader);
	return status;
}

static int read_values(const struct csv *csv, struct dataset *out, struct error *err)
{
	for (size_t i = 0; i < csv->count; i++)
		if (parse_number(csv->labels[i], &out->targets[i], err) < 0)
			return error_prefix(err, "%s:%zu: column %zu", csv->path, csv->lines[i],
					    csv->label_column + 1);
	return 0;
}

static int find_classes(struct label_classes *out, const struct csv *train, size_t classes,
			struct error *err)
{
	size_t at;

	if (label_classes_find(out, train->labels, train->count, &at, err) < 0)
		return error_prefix(err, "%s:%zu", train->path, train->lines[at]);
	if (out->words && classes && out->count > classes)
		return error_set(err, "'%s' has %zu classes, not %zu", train->path, out->count,
				 classes);
	if (!out->words && classes)
		out->count = classes;
	return 0;
}

static int read_classes(const struct csv *csv, const struct csv *train, size_t wanted,
			struct dataset *out, struct error *err)
{
	struct label_classes classes;
	int status = find_classes(&classes, train, wanted, err);

	for (size_t i = 0; status == 0 && i < csv->count; i++) {
		status = label_number(&classes, csv->labels[i], &out->targets[i], err);
		if (status < 0)
			error_prefix(err, "%s:%zu", csv->path, csv->lines[i]);
	}
	out->classes = wanted ? wanted : classes.count;
	label_classes_release(&classes);
	return status;
}

/* A column of `train` is done with before that of `out` is changed: they may be the same. */
static void standardise(const struct csv *train, struct dataset *out)
{
	size_t features = train->features;

	for (size_t f = 0; f < features; f++) {
		double sum = 0, squares = 0, mean, deviation;

		for (size_t i = 0; i < train->count; i++)
			sum += train->x[i * features + f];
		mean = sum / (double)train->count;
		for (size_t i = 0; i < train->count; i++)
			squares += pow(train->x[i * features + f] - mean, 2);
		deviation = sqrt(squares / (double)train->count);
		for (size_t i = 0; i < out->count; i++) {
			float *x = &out->floats[i * features + f];

			*x = (float)((*x - mean) / (deviation > 0 ? deviation : 1));
		}
	}
}

/* Moves the samples of `csv` to `out`, with the classes and the scale of `train`; may be the
 * same. */
static int take_samples(const struct csv_params *params, struct csv *csv, struct csv *train,
			struct dataset *out, struct error *err)
{
	int status;

	if (csv->features != train->features)
		return error_set(err, "'%s' has %zu features, but '%s' has %zu", csv->path,
				 csv->features, train->path, train->features);
	out->count = csv->count;
	out->shape = (struct shape){ .dim = { csv->features }, .rank = 1 };
	out->labels = 1;
	out->targets = xcalloc(csv->count, sizeof(*out->targets));
	if (params->task == TASK_REGRESS)
		status = read_values(csv, out, err);
	else
		status = read_classes(csv, train, params->classes, out, err);
	if (status < 0)
		return -1;
	out->floats = xrealloc(csv->x, csv->count, csv->features * sizeof(*csv->x));
	csv->x = out->floats;
	if (params->standardise)
		standardise(train, out);
	csv->x = NULL;
	return 0;
}

static int load(const void *params_of_format, enum data_part part, uint64_t seed,
		struct dataset *out, struct error *err)
{
	const struct csv_params *params = params_of_format;
	struct csv train = { 0 }, test = { 0 };
	int status;

	(void)seed;
	*out = (struct dataset){ 0 };
	if (!params->path[part])
		return 0;
	status = csv_read(&train, params, DATA_TRAIN, err);
	if (status == 0 && part == DATA_TEST)
		status = csv_read(&test, params, DATA_TEST, err);
	if (status == 0)
		status = take_samples(params, part == DATA_TEST ? &test : &train, &train, out, err);
	if (status < 0)
		dataset_release(out);
	csv_release(&train);
	csv_release(&test);
	return status;
}

const struct data_format format_csv = {
	.entry = { .name = "csv",
		   .summary = "lines of numbers with a label column, gzipped or not",
		   .options = csv_options,
		   .params_size = sizeof(struct csv_params) },
	.load = load,
};
