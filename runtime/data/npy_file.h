/* NumPy's file of one array: a header that says what is in it, and its elements. */
#ifndef DSTRAIN_RUNTIME_NPY_FILE_H
#define DSTRAIN_RUNTIME_NPY_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/data/mapped.h"

struct error;

enum { NPY_MOST_RANK = 5 };

struct npy_file {
	const char *path; /* borrowed */
	struct mapped file;
	char kind;    /* 'f', 'i' or 'u' */
	size_t width; /* bytes of an element */
	size_t rank, dim[NPY_MOST_RANK];
	size_t count; /* of all elements */
	const uint8_t *elements;
};

/* C order and little-endian only. Nothing is empty, and all elements are there. */
int npy_file_open(struct npy_file *out, const char *path, struct error *err);
double npy_file_element(const struct npy_file *file, size_t i);
void npy_file_release(struct npy_file *file);

#endif
