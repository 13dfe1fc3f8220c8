/* For targets that are data formats: one or two files, some ways to read them, and what holds of
 * all that is read. */
#ifndef DSTRAIN_TESTS_FUZZ_FORMAT_H
#define DSTRAIN_TESTS_FUZZ_FORMAT_H

#include "tests/format.h"
#include "tests/fuzz/fuzz.h"

static inline struct part fuzz_part(const char *format, const char *settings)
{
	struct problems problems = { 0 };
	struct part part = format_read_part(format, settings, &problems);

	assert(problems.count == 0);
	problems_release(&problems);
	return part;
}

/* Every sample is there, and every class and token within its range. */
static inline void fuzz_load(const struct part *part, enum data_part which)
{
	const struct data_format *format = PART_AS(part, struct data_format);
	struct dataset dataset;
	struct sparse_row row = { .count = 0 };
	struct batch one = { .count = 1 };
	struct error err;
	size_t features;

	if (format->load(part->params, which, 1, &dataset, &err) < 0)
		return;
	assert(dataset.count > 0 && dataset.shape.rank > 0);
	features = shape_count(&dataset.shape);
	one.x = dataset.sparse.start ? NULL : xcalloc(features, sizeof(*one.x));
	one.rows = &row;
	one.targets = xcalloc(dataset.labels, sizeof(*one.targets));
	for (uint32_t i = 0; i < dataset.count; i++) {
		dataset_gather(&dataset, &i, &one);
		for (size_t k = 0; k < row.count; k++)
			assert(row.index[k] < features &&
			       (k == 0 || row.index[k] > row.index[k - 1]));
		for (size_t k = 0; one.x && k < features; k++)
			assert(dataset.vocabulary == 0 || one.x[k] < (float)dataset.vocabulary);
		for (size_t k = 0; k < dataset.labels; k++)
			assert(dataset.classes == 0 ||
			       (one.targets[k] >= 0 && one.targets[k] < (float)dataset.classes));
	}
	free(one.x);
	free(one.targets);
	dataset_release(&dataset);
}

/* Formats of one file; the first byte of an input chooses among some ways to read it. */
struct fuzz_ways {
	struct fuzz_file file;
	struct part parts[8];
	size_t count;
};

static inline struct fuzz_ways fuzz_ways(const char *name)
{
	return (struct fuzz_ways){ .file = fuzz_file(name) };
}

/* `more`: settings beside the file's name. */
static inline void fuzz_way(struct fuzz_ways *ways, const char *format, const char *more)
{
	const char *path = ways->file.path;
	char *settings = xasprintf("train=%s test=%s %s", path, path, more);

	assert(ways->count < ARRAY_SIZE(ways->parts));
	ways->parts[ways->count++] = fuzz_part(format, settings);
	free(settings);
}

static inline void fuzz_ways_read(const struct fuzz_ways *ways, const uint8_t *bytes, size_t length)
{
	const struct part *part = &ways->parts[fuzz_byte(&bytes, &length) % ways->count];

	fuzz_fill(&ways->file, bytes, length);
	fuzz_load(part, DATA_TRAIN);
	fuzz_load(part, DATA_TEST);
}

/* A format of two files: samples, and as the first byte of an input says behind them labels. */
struct fuzz_pair {
	struct fuzz_file samples, labels;
	struct part train, test;
};

/* Their keys are "train.SAMPLES" and so on; `more` are settings for the test part alone. */
static inline struct fuzz_pair fuzz_pair(const char *format, const char *samples,
					 const char *labels, const char *more)
{
	struct fuzz_pair pair = { .samples = fuzz_file(samples), .labels = fuzz_file(labels) };
	const char *x = pair.samples.path, *y = pair.labels.path;
	char *train = xasprintf("train.%s=%s train.%s=%s test.%s=%s test.%s=%s", samples, x, labels,
				y, samples, x, labels, y);
	char *test = xasprintf("%s %s", train, more);

	pair.train = fuzz_part(format, train);
	pair.test = fuzz_part(format, test);
	free(train);
	free(test);
	return pair;
}

static inline void fuzz_pair_read(const struct fuzz_pair *pair, const uint8_t *bytes, size_t length)
{
	size_t behind = fuzz_byte(&bytes, &length);

	behind = behind < length ? behind : length;
	fuzz_fill(&pair->samples, bytes, length - behind);
	fuzz_fill(&pair->labels, bytes + length - behind, behind);
	fuzz_load(&pair->train, DATA_TRAIN);
	fuzz_load(&pair->test, DATA_TEST);
}

#endif
