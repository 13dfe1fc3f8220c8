/*
 * Named arrays in the safetensors format: u64 length, JSON header, raw little-endian data. PyTorch
 * and others read it. Float32 is written; what others write is read, too.
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
	size_t count;
	const float *x; /* to write; borrowed */
	/* As read: within the file's bytes, not aligned, of the type that a table there has. */
	const unsigned char *bytes;
	size_t type;
};

/* Appends what comes before the data: the arrays follow in their order, nothing between them.
 * Returns their bytes. */
size_t safetensors_header(struct buf *out, const struct safetensor *tensors, size_t count);

/* Checks everything against `length`. Names are owned by the result, arrays point into `bytes`,
 * which must outlive it. */
struct safetensors {
	struct safetensor *entries;
	size_t count;
};
int safetensors_read(struct safetensors *out, const void *bytes, size_t length, struct error *err);
/* The numbers of an array that was read, as floats; large ones lose digits. */
void safetensor_floats(const struct safetensor *tensor, float *to); /* [count] */
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);
void safetensors_release(struct safetensors *file);

#endif
