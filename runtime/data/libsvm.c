/*
 * The sparse text format of libsvm and svmlight: "LABEL INDEX:VALUE INDEX:VALUE ..." a line,
 * indices growing, what is left out is 0. A '#' begins a comment. May be gzipped.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/error.h"
#include "lib/memory.h"
#include "lib/numbers.h"
#include "lib/units.h"
#include "runtime/data/data.h"
#include "runtime/data/label.h"
#include "runtime/data/text_file.h"

enum { MOST_FEATURES = 1 << 24 };
enum task { TASK_CLASSIFY, TASK_REGRESS };

static const char *const tasks[] = { "classify", "regress", NULL };

struct libsvm_params {
	char *path[2]; /* by enum data_part */
	size_t features, first, classes;
	int task;
};

static const struct opt libsvm_options[] = {
	{ "train", OPT_PATH, offsetof(struct libsvm_params, path[DATA_TRAIN]), NULL,
	  "training samples, may be gzipped" },
	{ "test", OPT_PATH, offsetof(struct libsvm_params, path[DATA_TEST]), "",
	  "samples held out for evaluation" },
	{ "features", OPT_COUNT, offsetof(struct libsvm_params, features), "0",
	  "number of columns; 0: as many as the training samples have", .min = 0,
	  .max = MOST_FEATURES },
	{ "first_index", OPT_COUNT, offsetof(struct libsvm_params, first), "1",
	  "index of the first column", .min = 0, .max = 1 },
	{ "task", OPT_CHOICE, offsetof(struct libsvm_params, task), "classify",
	  "whether the label is a class or a value", .choices = tasks },
	{ "classes", OPT_COUNT, offsetof(struct libsvm_params, classes), "0",
	  "number of classes, which labels count from 0; 0: the different labels of the training "
	  "samples, in order",
	  .min = 0, .max = 1 << 20 },
	{ 0 }
};

/* One file, read. */
struct libsvm {
	const char *path;
	struct buf text; /* that the labels lie in */
	size_t count;	 /* rows */
	char **labels;	 /* [count] */
	size_t *lines;	 /* [count], where each was */
	struct sparse_rows rows;
	size_t values, room;	/* of rows.index and rows.value: used, there */
	size_t columns, widest; /* one more than the largest index from 0, and its row */
};

static void libsvm_release(struct libsvm *file)
{
	buf_release(&file->text);
	free(file->labels);
	free(file->lines);
	free(file->rows.start);
	free(file->rows.index);
	free(file->rows.value);
	*file = (struct libsvm){ 0 };
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static char *word_end(char *at)
{
	while (*at && !is_blank(*at) && *at != '\n' && *at != '#')
		at++;
	return at;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What is written as digits, with a point or without, and has so few that the quotient of two
 * doubles is the nearest one; NULL: nothing of that kind, else where it ends. */
static char *read_short(char *at, double *out)
{
	static const double power[] = { 1,   1e1, 1e2,	1e3,  1e4,  1e5,  1e6,	1e7,
					1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
	bool negative = *at == '-';
	size_t digits = 0, behind = 0;
	uint64_t number = 0;

	at += *at == '-' || *at == '+';
	for (; is_digit(*at) && digits < ARRAY_SIZE(power); at++, digits++)
		number = number * 10 + (uint64_t)(*at - '0');
	if (*at == '.')
		for (at++; is_digit(*at) && digits < ARRAY_SIZE(power); at++, digits++, behind++)
			number = number * 10 + (uint64_t)(*at - '0');
	if (digits == 0 || digits >= ARRAY_SIZE(power) || word_end(at) != at)
		return NULL;
	*out = (double)number / power[behind];
	*out = negative ? -*out : *out;
	return at;
}

static char *read_value(char *at, float *out, struct error *err)
{
	double value;
	char *end = read_short(at, &value);

	if (!end) {
		char kept;
		int status;

		end = word_end(at);
		kept = *end;
		*end = '\0';
		status = units_real(&value, at, err);
		if (status == 0 && fabs(value) > FLT_MAX)
			status = error_set(err, "'%s' is too large", at);
		*end = kept;
		if (status < 0)
			return NULL;
	}
	*out = (float)value;
	return end;
}

static void add_value(struct libsvm *file, uint32_t index, float value)
{
	if (file->values == file->room) {
		file->room = file->room ? 2 * file->room : 1024;
		file->rows.index =
			xrealloc(file->rows.index, file->room, sizeof(*file->rows.index));
		file->rows.value =
			xrealloc(file->rows.value, file->room, sizeof(*file->rows.value));
	}
	file->rows.index[file->values] = index;
	file->rows.value[file->values++] = value;
}

/* Where the pair ends; `next` is the least index that may follow. */
static char *read_pair(struct libsvm *file, size_t first, char *at, uint64_t *next,
		       struct error *err)
{
	char *word = at;
	uint64_t index = 0;
	float value;

	while (is_digit(*at) && index <= MOST_FEATURES)
		index = index * 10 + (uint64_t)(*at++ - '0');
	if (at == word || (*at != ':' && !is_digit(*at))) {
		error_set(err, "'%.*s' is not INDEX:VALUE", (int)(word_end(word) - word), word);
		return NULL;
	}
	if (index < first || index - first >= MOST_FEATURES) {
		error_set(err, "index %.*s is out of range %zu..%zu%s", (int)strcspn(word, ":"),
			  word, first, MOST_FEATURES - 1 + first,
			  index < first ? "; see data.first_index" : "");
		return NULL;
	}
	if (index < *next) {
		error_set(err, "index %llu is not larger than the one before",
			  (unsigned long long)index);
		return NULL;
	}
	*next = index + 1;
	at = read_value(at + 1, &value, err);
	if (at)
		add_value(file, (uint32_t)(index - first), value);
	return at;
}

static char *skip_blanks(char *at)
{
	while (is_blank(*at))
		at++;
	if (*at == '#')
		at += strcspn(at, "\n");
	return at;
}

/* A line, of which *at is the label; moves behind it. */
static int read_row(struct libsvm *file, size_t first, char **at, size_t line, struct error *err)
{
	uint64_t next = first;
	char *label_end = word_end(*at), *pair = skip_blanks(label_end);

	if (memchr(*at, ':', (size_t)(label_end - *at)))
		return error_set(err, "there is no label in front of '%.*s'",
				 (int)(label_end - *at), *at);
	file->labels = xgrow(file->labels, file->count, sizeof(*file->labels));
	file->lines = xgrow(file->lines, file->count, sizeof(*file->lines));
	file->rows.start = xgrow(file->rows.start, file->count + 1, sizeof(*file->rows.start));
	file->labels[file->count] = *at;
	file->lines[file->count++] = line;
	while (*pair && *pair != '\n') {
		pair = read_pair(file, first, pair, &next, err);
		if (!pair)
			return -1;
		pair = skip_blanks(pair);
	}
	file->rows.start[file->count] = file->values;
	if (next - first > file->columns) {
		file->columns = (size_t)(next - first);
		file->widest = file->count - 1;
	}
	*at = pair + (*pair == '\n');
	*label_end = '\0';
	return 0;
}

static int libsvm_read(struct libsvm *file, const struct libsvm_params *params, enum data_part part,
		       struct error *err)
{
	size_t line = 1;
	char *at;

	*file = (struct libsvm){ .path = params->path[part] };
	if (text_file_read(&file->text, file->path, err) < 0)
		return -1;
	file->rows.start = xcalloc(1, sizeof(*file->rows.start));
	for (at = file->text.data; *(at = skip_blanks(at)); line++) {
		if (*at == '\n')
			at++;
		else if (read_row(file, params->first, &at, line, err) < 0)
			return error_prefix(err, "%s:%zu", file->path, line);
	}
	if (file->count == 0)
		return error_set(err, "'%s' is empty", file->path);
	if (file->count > UINT32_MAX)
		return error_set(err, "'%s' has more than %u records", file->path, UINT32_MAX);
	return 0;
}

static int label_value(const char *label, double *out, struct error *err)
{
	if (units_real(out, label, err) < 0)
		return error_set(err, "label '%s' is not a number", label);
	if (fabs(*out) > FLT_MAX)
		return error_set(err, "label '%s' is too large", label);
	return 0;
}

static int whole_label(const char *label, double *out, struct error *err)
{
	if (label_value(label, out, err) < 0)
		return -1;
	return *out == floor(*out) ? 0
				   : error_set(err,
					       "label '%s' is not a whole number; for values there "
					       "is data.task: regress",
					       label);
}

/* What labels become class numbers by: one of these. */
struct classes {
	struct label_classes words;
	double *values; /* [count], rising */
	size_t count;
	bool counted; /* labels are the class numbers */
};

static int find_values(struct classes *out, const struct libsvm *train, struct error *err)
{
	out->values = xcalloc(train->count, sizeof(*out->values));
	for (size_t i = 0; i < train->count; i++)
		if (whole_label(train->labels[i], &out->values[i], err) < 0)
			return error_prefix(err, "%s:%zu", train->path, train->lines[i]);
	numbers_sort(out->values, train->count);
	for (size_t i = 0; i < train->count; i++)
		if (i == 0 || out->values[i] != out->values[out->count - 1])
			out->values[out->count++] = out->values[i];
	return 0;
}

static int find_classes(struct classes *out, const struct libsvm_params *params,
			const struct libsvm *train, struct error *err)
{
	struct error ignored;
	double value;
	size_t at;

	*out = (struct classes){ .counted = params->classes > 0, .count = params->classes };
	if (out->counted)
		return 0;
	if (units_real(&value, train->labels[0], &ignored) == 0)
		return find_values(out, train, err);
	if (label_classes_find(&out->words, train->labels, train->count, &at, err) < 0)
		return error_prefix(err, "%s:%zu", train->path, train->lines[at]);
	out->count = out->words.count;
	return 0;
}

static int class_of(const struct classes *classes, const char *label, float *out, struct error *err)
{
	const double *found;
	double value;

	if (classes->words.count)
		return label_number(&classes->words, label, out, err);
	if (whole_label(label, &value, err) < 0)
		return -1;
	if (classes->counted) {
		*out = (float)value;
		return value >= 0 && value < (double)classes->count
			       ? 0
			       : error_set(err, "label %s is out of range 0..%zu", label,
					   classes->count - 1);
	}
	found = bsearch(&value, classes->values, classes->count, sizeof(value), numbers_compare);
	if (!found)
		return error_set(err, "label '%s' does not occur in the training data", label);
	*out = (float)(found - classes->values);
	return 0;
}

static int take_labels(const struct libsvm_params *params, const struct libsvm *file,
		       const struct libsvm *train, struct dataset *out, struct error *err)
{
	bool classify = params->task == TASK_CLASSIFY;
	struct classes classes = { 0 };
	int status = classify ? find_classes(&classes, params, train, err) : 0;

	out->labels = 1;
	out->classes = classes.count;
	out->targets = xcalloc(file->count, sizeof(*out->targets));
	for (size_t i = 0; status == 0 && i < file->count; i++) {
		double value = 0;

		if (classify)
			status = class_of(&classes, file->labels[i], &out->targets[i], err);
		else if ((status = label_value(file->labels[i], &value, err)) == 0)
			out->targets[i] = (float)value;
		if (status < 0)
			error_prefix(err, "%s:%zu", file->path, file->lines[i]);
	}
	label_classes_release(&classes.words);
	free(classes.values);
	return status;
}

static int take_rows(const struct libsvm_params *params, struct libsvm *file,
		     const struct libsvm *train, struct dataset *out, struct error *err)
{
	size_t columns = params->features ? params->features : train->columns;

	if (columns == 0)
		return error_set(err, "'%s' has no values", train->path);
	if (file->columns > columns)
		return error_set(
			err, "%s:%zu: index %zu, but %s %zu columns; see data.features", file->path,
			file->lines[file->widest], file->columns - 1 + params->first,
			params->features ? "there are" : "the training samples have", columns);
	out->shape = (struct shape){ .dim = { columns }, .rank = 1 };
	out->count = file->count;
	out->sparse = file->rows;
	file->rows = (struct sparse_rows){ 0 };
	out->sparse.index = xrealloc(out->sparse.index, file->values, sizeof(*out->sparse.index));
	out->sparse.value = xrealloc(out->sparse.value, file->values, sizeof(*out->sparse.value));
	return 0;
}

static int load(const void *params_of_format, enum data_part part, uint64_t seed,
		struct dataset *out, struct error *err)
{
	const struct libsvm_params *params = params_of_format;
	struct libsvm train = { 0 }, test = { 0 };
	struct libsvm *file = part == DATA_TEST ? &test : &train;
	int status;

	(void)seed;
	*out = (struct dataset){ 0 };
	if (!params->path[part])
		return 0;
	status = libsvm_read(&train, params, DATA_TRAIN, err);
	if (status == 0 && part == DATA_TEST)
		status = libsvm_read(&test, params, DATA_TEST, err);
	if (status == 0)
		status = take_labels(params, file, &train, out, err);
	if (status == 0)
		status = take_rows(params, file, &train, out, err);
	if (status < 0)
		dataset_release(out);
	libsvm_release(&train);
	libsvm_release(&test);
	return status;
}

const struct data_format format_libsvm = {
	.entry = { .name = "libsvm",
		   .summary = "lines of a label and INDEX:VALUE pairs, gzipped or not",
		   .options = libsvm_options,
		   .params_size = sizeof(struct libsvm_params) },
	.load = load,
};
