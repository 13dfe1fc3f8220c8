/* For targets that are data formats: parts of a recipe, and loading by them. */
#ifndef DSTRAIN_TESTS_FUZZ_FORMAT_H
#define DSTRAIN_TESTS_FUZZ_FORMAT_H

#include "lib/setting.h"
#include "runtime/data/data.h"

/* `pairs`: key, value, ..., NULL. The keys are those below "data". */
static inline struct part fuzz_format(const char *format, const char *const *pairs)
{
	static const struct place here = { .file = "fuzz" };
	struct settings given = { 0 }, resolved = { 0 };
	struct problems problems = { 0 };
	struct part part = { 0 };

	settings_set(&given, "data.format", format, here);
	for (; pairs[0]; pairs += 2) {
		char *key = xasprintf("data.%s", pairs[0]);

		settings_set(&given, key, pairs[1], here);
		free(key);
	}
	registry_read(&data_formats, &given, "data", "format", NULL, &part, &resolved, &problems);
	assert(problems.count == 0);
	settings_release(&given);
	settings_release(&resolved);
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

#endif
