/* One bit an element, plus or minus the same size for all: what signs and votes have in common. */
#ifndef DSTRAIN_RUNTIME_VOTES_H
#define DSTRAIN_RUNTIME_VOTES_H

#include <stddef.h>

#include "runtime/compress/codes.h"

/* The signs of x, zero's is plus. Returns bits_size(count, 1), as many bytes as it wrote. */
size_t votes_encode(const float *x, size_t count, unsigned char *out);

/* Adds scale * size where the bit is 0, takes it off where it is 1; bits_size(count, 1) bytes. */
int votes_add(const unsigned char *bytes, float size, float scale, float *y, size_t count,
	      struct error *err);

/* The same of a whole payload: behind a size of `header` bytes, if there is one; else it is `size`.
 */
int votes_decode_add(const unsigned char *bytes, size_t length, size_t header, float size,
		     float scale, float *y, size_t count, struct error *err);

/* The most by which votes of this size may be off from x in the Euclidean norm. */
double votes_error(const float *x, size_t count, double size);

#endif
