/*
 * Comma-separated values: one sample a line, one column is the label, the others are numbers,
 * categories or texts. May be gzipped.
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
#include "runtime/data/cells.h"
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
	struct opt_texts categorical, text;
	size_t vocabulary;
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
	  "shift and scale numbers to mean 0 and variance 1 over the training samples" },
	{ "categorical", OPT_TEXTS, offsetof(struct csv_params, categorical), "",
	  "columns of words: each different one of the training samples becomes a feature" },
	{ "text", OPT_TEXTS, offsetof(struct csv_params, text), "",
	  "columns of text: each word of the training samples becomes a feature" },
	{ "vocabulary", OPT_COUNT, offsetof(struct csv_params, vocabulary), "100000",
	  "the most words of texts to tell apart: the most frequent ones", .min = 1,
	  .max = 1 << 24 },
	{ 0 }
};

/* One file, read. */
struct csv {
	const char *path;
	struct buf text; /* that the labels lie in */
	size_t count, room, columns, label_column;
	enum cell_kind *kinds; /* [columns] */
	size_t numbers, words; /* columns of numbers, of anything else but the label */
	float *x;	       /* [count][numbers] */
	char **cells;	       /* [count][words] */
	char **labels;	       /* [count] */
	size_t *lines;	       /* [count], where each was */
};

static void csv_release(struct csv *csv)
{
	buf_release(&csv->text);
	free(csv->kinds);
	free(csv->x);
	free(csv->cells);
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

/* A column by its name or its number from 1. */
static int find_column(const struct csv *csv, const char *wanted, const struct record_reader *first,
		       bool header, size_t *column, struct error *err)
{
	const char *const *names = (const char *const *)first->fields;
	const char *near;
	uint64_t number;

	for (size_t i = 0; header && i < first->count; i++) {
		*column = i;
		if (strcmp(first->fields[i], wanted) == 0)
			return 0;
	}
	if (units_count(&number, wanted, err) == 0 && number >= 1 && number <= first->count) {
		*column = (size_t)number - 1;
		return 0;
	}
	near = header ? suggest(wanted, names, first->count) : NULL;
	if (near)
		return error_set(err, "'%s' has no column '%s'; did you mean '%s'?", csv->path,
				 wanted, near);
	return error_set(err, "'%s' has no column '%s' among its %zu%s", csv->path, wanted,
			 first->count, header ? "" : " and no line that names them");
}

static int mark_columns(struct csv *csv, const struct opt_texts *names, enum cell_kind kind,
			const struct record_reader *first, bool header, struct error *err)
{
	size_t column;

	for (size_t i = 0; i < names->count; i++) {
		if (find_column(csv, names->values[i], first, header, &column, err) < 0)
			return -1;
		if (csv->kinds[column] == CELL_LABEL)
			return error_set(err, "'%s': column '%s' is the label; see data.label",
					 csv->path, names->values[i]);
		if (csv->kinds[column] != CELL_NUMBER)
			return error_set(err, "'%s': column '%s' is used twice", csv->path,
					 names->values[i]);
		csv->kinds[column] = kind;
	}
	return 0;
}

static int find_columns(struct csv *csv, const struct csv_params *params,
			const struct record_reader *first, bool header, struct error *err)
{
	csv->columns = first->count;
	if (csv->columns == 1)
		return error_set(err, "'%s' has one column only; is the delimiter a %s?", csv->path,
				 delimiter_names[params->delimiter]);
	csv->kinds = xcalloc(csv->columns, sizeof(*csv->kinds));
	csv->label_column = csv->columns - 1;
	if (params->label &&
	    find_column(csv, params->label, first, header, &csv->label_column, err) < 0)
		return -1;
	csv->kinds[csv->label_column] = CELL_LABEL;
	if (mark_columns(csv, &params->categorical, CELL_CATEGORY, first, header, err) < 0 ||
	    mark_columns(csv, &params->text, CELL_TEXT, first, header, err) < 0)
		return -1;
	for (size_t i = 0; i < csv->columns; i++)
		csv->numbers += csv->kinds[i] == CELL_NUMBER;
	csv->words = csv->columns - 1 - csv->numbers;
	return 0;
}

static void make_room(struct csv *csv)
{
	if (csv->count < csv->room)
		return;
	csv->room = csv->room ? 2 * csv->room : 256;
	csv->x = xrealloc(csv->x, csv->room, csv->numbers * sizeof(*csv->x));
	csv->cells = xrealloc(csv->cells, csv->room, csv->words * sizeof(*csv->cells));
	csv->labels = xrealloc(csv->labels, csv->room, sizeof(*csv->labels));
	csv->lines = xrealloc(csv->lines, csv->room, sizeof(*csv->lines));
}

static int add_record(struct csv *csv, const struct record_reader *record, struct error *err)
{
	struct error why;
	float *x;
	char **cell;

	if (record->count != csv->columns)
		return error_set(err, "%zu fields, but the first record has %zu", record->count,
				 csv->columns);
	make_room(csv);
	x = csv->x + csv->count * csv->numbers;
	cell = csv->cells + csv->count * csv->words;
	for (size_t i = 0; i < record->count; i++) {
		if (csv->kinds[i] == CELL_LABEL)
			csv->labels[csv->count] = record->fields[i];
		else if (csv->kinds[i] != CELL_NUMBER)
			*cell++ = record->fields[i];
		else if (parse_number(record->fields[i], x++, &why) < 0)
			return error_set(err,
					 "column %zu: %s; a column of words belongs into "
					 "data.categorical or data.text",
					 i + 1, why.text);
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
		if (find_columns(csv, params, reader, header, err) < 0)
			return -1;
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

/* A column of `train` is done with before that of `csv` is changed: they may be the same. */
static void standardise(const struct csv *train, struct csv *csv)
{
	size_t numbers = train->numbers;

	for (size_t f = 0; f < numbers; f++) {
		double sum = 0, squares = 0, mean, deviation;

		for (size_t i = 0; i < train->count; i++)
			sum += train->x[i * numbers + f];
		mean = sum / (double)train->count;
		for (size_t i = 0; i < train->count; i++)
			squares += pow(train->x[i * numbers + f] - mean, 2);
		deviation = sqrt(squares / (double)train->count);
		for (size_t i = 0; i < csv->count; i++) {
			float *x = &csv->x[i * numbers + f];

			*x = (float)((*x - mean) / (deviation > 0 ? deviation : 1));
		}
	}
}

/* Borrows all but the kinds, which are the caller's. */
static struct cells cells_of(const struct csv *csv)
{
	struct cells cells = { .count = csv->count,
			       .numbers = csv->numbers,
			       .x = csv->x,
			       .words = csv->words,
			       .word = csv->cells,
			       .kinds = xcalloc(csv->words, sizeof(*cells.kinds)) };
	size_t word = 0;

	for (size_t i = 0; i < csv->columns; i++)
		if (csv->kinds[i] == CELL_CATEGORY || csv->kinds[i] == CELL_TEXT)
			cells.kinds[word++] = csv->kinds[i];
	return cells;
}

static int take_rows(const struct csv_params *params, const struct csv *csv,
		     const struct csv *train, struct dataset *out, struct error *err)
{
	struct cells these = cells_of(csv), all = cells_of(train);
	size_t columns = cells_encode(&these, &all, params->vocabulary, &out->sparse);

	free(these.kinds);
	free(all.kinds);
	out->shape = (struct shape){ .dim = { columns }, .rank = 1 };
	if (columns == 0)
		return error_set(err, "'%s' has no word in any of its columns", train->path);
	return 0;
}

/* Moves the samples of `csv` to `out`, with the classes, the scale and the words of `train`; may be
 * the same. */
static int take_samples(const struct csv_params *params, struct csv *csv, struct csv *train,
			struct dataset *out, struct error *err)
{
	int status;

	if (csv->columns != train->columns)
		return error_set(err, "'%s' has %zu columns, but '%s' has %zu", csv->path,
				 csv->columns, train->path, train->columns);
	out->count = csv->count;
	out->labels = 1;
	out->targets = xcalloc(csv->count, sizeof(*out->targets));
	if (params->task == TASK_REGRESS)
		status = read_values(csv, out, err);
	else
		status = read_classes(csv, train, params->classes, out, err);
	if (status < 0)
		return -1;
	if (params->standardise)
		standardise(train, csv);
	if (csv->words)
		return take_rows(params, csv, train, out, err);
	out->shape = (struct shape){ .dim = { csv->numbers }, .rank = 1 };
	out->floats = xrealloc(csv->x, csv->count, csv->numbers * sizeof(*csv->x));
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
		   .summary =
			   "lines of numbers, words or texts with a label column, gzipped or not",
		   .options = csv_options,
		   .params_size = sizeof(struct csv_params) },
	.load = load,
};
