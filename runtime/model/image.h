/* What layers of images share: the check of what comes in, and the size of what goes out. */
#ifndef DSTRAIN_RUNTIME_IMAGE_H
#define DSTRAIN_RUNTIME_IMAGE_H

#include "runtime/device/pool.h"
#include "runtime/model/layer_params.h"

struct error;
struct layer_call;
struct shape;

/* 0 if a sample is [channels][height][width]. */
int image_check(const struct shape *input, struct error *err);

/* The shape of what a window of kernel x kernel makes of each channel. */
int image_windows(const struct shape *input, size_t kernel, size_t stride, size_t padding,
		  struct shape *output, struct error *err);

/* The same of pooling. */
int image_pool(const struct pool2d_params *pool, const struct shape *input, struct shape *output,
	       struct error *err);
struct pool image_pool_of(const struct layer_call *call);

#endif
