/* What layers that pool windows of an image share: all but what they make of one plane. */
#ifndef DSTRAIN_RUNTIME_POOL2D_H
#define DSTRAIN_RUNTIME_POOL2D_H

#include "runtime/device/pool.h"
#include "runtime/model/layer_params.h"

struct error;
struct layer_call;
struct shape;

/* clang-format off */
#define POOL2D_OPTIONS(kernel_max, padding_max, padding_summary) \
	{ "kernel", OPT_COUNT, offsetof(struct pool2d_params, kernel), "2", "side of a window", \
	  .min = 1, .max = kernel_max }, \
	{ "stride", OPT_COUNT, offsetof(struct pool2d_params, stride), "0", \
	  "pixels from one window to the next; 0: the kernel's side", .min = 0, .max = 64 }, \
	{ "padding", OPT_COUNT, offsetof(struct pool2d_params, padding), "0", \
	  padding_summary "; at most half the kernel's side", .min = 0, .max = padding_max }
/* clang-format on */

/* The shape of what comes out. */
int pool2d_shape(const struct pool2d_params *params, const struct shape *input,
		 struct shape *output, struct error *err);

/* One channel of one sample. `which`: a byte for each of its outputs, kept from forward to
 * backward, if the layer's plan asks for scratch. */
typedef void pool2d_plane(const struct pool *pool, const float *from, float *to,
			  unsigned char *which);

/* All planes of a batch, on the layer's team. */
void pool2d_forward(const struct layer_call *call, pool2d_plane *plane, const float *in,
		    float *out);
void pool2d_backward(const struct layer_call *call, pool2d_plane *plane, const float *dout,
		     float *din);

#endif
