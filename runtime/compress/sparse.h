/* Some coordinates of a span: their values as float32, then their indices. */
#ifndef DSTRAIN_RUNTIME_COMPRESS_SPARSE_H
#define DSTRAIN_RUNTIME_COMPRESS_SPARSE_H

#include <stddef.h>

#include "runtime/compress/select.h"

struct compress_pairs;
struct error;

/* How many coordinates a share of them is. */
size_t sparse_share(double share, size_t count);

/* The most bytes, of `chosen` of them or of any number. */
size_t sparse_bound(size_t chosen, size_t count);
size_t sparse_bound_any(size_t count);

/* Exactly `chosen` of x are in `selection`. Returns how many bytes it wrote. */
size_t sparse_encode(const float *x, size_t count, struct selection selection, size_t chosen,
		     unsigned char *out);
int sparse_decode_add(const unsigned char *bytes, size_t length, size_t chosen, float scale,
		      float *y, size_t count, struct error *err);
/* The same payload from pairs, and back to them: rising indices from `first` on, of `count`. */
size_t sparse_pack(const uint32_t *indices, const float *values, size_t chosen, size_t first,
		   size_t count, unsigned char *out);
int sparse_unpack(const unsigned char *bytes, size_t length, size_t chosen, size_t first,
		  size_t count, struct compress_pairs *pairs, struct error *err);
/* The Euclidean norm of what is not chosen. */
double sparse_error(const float *x, size_t count, struct selection selection);

/* The number in front of payloads that hold any number of coordinates. */
enum { SPARSE_HEADER = 4 };
void sparse_put_header(unsigned char *out, size_t chosen);
int sparse_get_header(const unsigned char *bytes, size_t length, size_t *chosen, struct error *err);
/* sparse_decode_add and sparse_unpack of what is behind it: at most so many. */
int sparse_decode_any(const unsigned char *bytes, size_t length, size_t most, float scale, float *y,
		      size_t count, struct error *err);
int sparse_unpack_any(const unsigned char *bytes, size_t length, size_t most, size_t first,
		      size_t count, struct compress_pairs *pairs, struct error *err);

#endif
