/* What layers of images share: the check of what comes in, and the size of what goes out. */
#ifndef DSTRAIN_RUNTIME_IMAGE_H
#define DSTRAIN_RUNTIME_IMAGE_H

#include <stddef.h>

struct error;
struct shape;

/* 0 if a sample is [channels][height][width]. */
int image_check(const struct shape *input, struct error *err);

/* The shape of what a window of kernel x kernel makes of each channel. */
int image_windows(const struct shape *input, size_t kernel, size_t stride, size_t padding,
		  struct shape *output, struct error *err);

#endif
