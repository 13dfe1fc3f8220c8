/* Signs of one bit an element: times the mean of |x|, or as votes. */
#ifndef DSTRAIN_RUNTIME_SIGNS_H
#define DSTRAIN_RUNTIME_SIGNS_H

#include "runtime/compress/compress.h"

struct signs_params {
	bool vote;
};

/* The operations of struct compressor, with struct signs_params. */
size_t signs_bound(const void *params, size_t count);
size_t signs_encode(const void *params, const struct compress_input *input, unsigned char *out);
int signs_decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		     float *y, size_t count, struct error *err);
double signs_error(const void *params, const struct compress_input *input);
enum vote signs_vote(const void *params);

#endif
