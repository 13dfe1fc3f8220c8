/*
 * Named float32 arrays in the safetensors format: u64 length, JSON header, raw little-endian data.
 * PyTorch and others read it.
 */
#ifndef DSTRAIN_LIB_SAFETENSORS_H
#define DSTRAIN_LIB_SAFETENSORS_H

#include <stddef.h>

struct buf;
struct error;

enum { SAFETENSORS_DIMS = 4 };

struct safetensor {
	char *name;
	size_t dim[SAFETENSORS_DIMS], rank;
	const float *x; /* borrowed; when read, it points into the file's bytes */
	size_t count;
};

/* Appends what comes before the data: the arrays follow in their order, nothing between them.
 * Returns their bytes. */
size_t safetensors_header(struct buf *out, const struct safetensor *tensors, size_t count);
/* Appends the whole file. */
void safetensors_write(struct buf *out, const struct safetensor *tensors, size_t count);

/* Checks everything against `length`. Names are owned by the result, arrays point into `bytes`,
 * which must be aligned for float and outlive it. */
struct safetensors {
	struct safetensor *entries;
	size_t count;
};
int safetensors_read(struct safetensors *out, const void *bytes, size_t length, struct error *err);
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);
void safetensors_release(struct safetensors *file);

#endif
