/* Whole safetensors files in memory, for tests. */
#ifndef DSTRAIN_TESTS_SAFETENSORS_H
#define DSTRAIN_TESTS_SAFETENSORS_H

#include "lib/buf.h"
#include "lib/safetensors.h"

static inline void safetensors_write(struct buf *out, const struct safetensor *tensors,
				     size_t count)
{
	safetensors_header(out, tensors, count);
	for (size_t i = 0; i < count; i++)
		buf_add(out, tensors[i].x, tensors[i].count * sizeof(float));
}

#endif
