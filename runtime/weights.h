/* A model's weights from a safetensors file, which dstrain or PyTorch may have written. */
#ifndef DSTRAIN_RUNTIME_WEIGHTS_H
#define DSTRAIN_RUNTIME_WEIGHTS_H

#include <stddef.h>

struct error;
struct model;

/* From the file's bytes. Every tensor of the model must be there, with its name and shape, and no
 * other; the message lists all that is missing, unexpected or of another shape. Other types than
 * float32 are converted. Fills weight only if all is well. */
int weights_read(float *weight, const struct model *model, const void *bytes, size_t length,
		 struct error *err);
int weights_read_file(float *weight, const struct model *model, const char *path,
		      struct error *err);

#endif
