/* Class labels as texts, and the numbers that a model wants instead. */
#ifndef DSTRAIN_RUNTIME_LABEL_H
#define DSTRAIN_RUNTIME_LABEL_H

#include <stdbool.h>
#include <stddef.h>

struct error;

/* Labels are class numbers from 0, or words, which are numbered in sorted order. */
struct label_classes {
	bool words;
	const char **names; /* [count], sorted; owned, the texts are borrowed; NULL for numbers */
	size_t count;
};

/* Finds the classes of the training labels. On failure *at is the label that does not fit. */
int label_classes_find(struct label_classes *out, char *const *labels, size_t count, size_t *at,
		       struct error *err);
int label_number(const struct label_classes *classes, const char *label, float *out,
		 struct error *err);
void label_classes_release(struct label_classes *classes);

#endif
