/* Class labels as texts, and the numbers that a model wants instead. */
#include "runtime/data/label.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/memory.h"
#include "lib/units.h"

enum { MOST_CLASSES = 1 << 20 };

static int class_number(const char *label, size_t classes, size_t *out, struct error *err)
{
	uint64_t number;

	if (units_count(&number, label, err) < 0)
		return error_set(err, "label '%s' is not a class number", label);
	if (number >= classes)
		return error_set(err, "label %s is out of range 0..%zu", label, classes - 1);
	*out = (size_t)number;
	return 0;
}

static bool is_number(const char *label)
{
	struct error ignored;
	double value;

	return units_real(&value, label, &ignored) == 0;
}

static int find_numbers(struct label_classes *out, char *const *labels, size_t count, size_t *at,
			struct error *err)
{
	size_t number;

	for (*at = 0; *at < count; ++*at) {
		if (class_number(labels[*at], MOST_CLASSES, &number, err) < 0)
			return -1;
		if (number >= out->count)
			out->count = number + 1;
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_words(struct label_classes *out, char *const *labels, size_t count, size_t *at,
		      struct error *err)
{
	out->names = xcalloc(count, sizeof(*out->names));
	for (*at = 0; *at < count; ++*at) {
		if (!labels[*at][0])
			return error_set(err, "the label is empty");
		if (is_number(labels[*at]))
			return error_set(err, "label '%s' is a number, but others are words",
					 labels[*at]);
		out->names[*at] = labels[*at];
	}
	qsort(out->names, count, sizeof(*out->names), by_name);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || strcmp(out->names[i], out->names[out->count - 1]) != 0)
			out->names[out->count++] = out->names[i];
	return 0;
}

int label_classes_find(struct label_classes *out, char *const *labels, size_t count, size_t *at,
		       struct error *err)
{
	*out = (struct label_classes){ .words = !is_number(labels[0]) };
	return out->words ? find_words(out, labels, count, at, err)
			  : find_numbers(out, labels, count, at, err);
}

int label_number(const struct label_classes *classes, const char *label, float *out,
		 struct error *err)
{
	const char **found;
	size_t number;

	if (!classes->words) {
		if (class_number(label, classes->count, &number, err) < 0)
			return -1;
		*out = (float)number;
		return 0;
	}
	found = bsearch(&label, classes->names, classes->count, sizeof(*classes->names), by_name);
	if (!found)
		return error_set(err, "label '%s' does not occur in the training data", label);
	*out = (float)(found - classes->names);
	return 0;
}

void label_classes_release(struct label_classes *classes)
{
	free(classes->names);
	*classes = (struct label_classes){ 0 };
}
