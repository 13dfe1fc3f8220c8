/*
 * Payloads whose number of bits changes while training: a byte that says it, a norm, and codes of
 * one sign and levels of the norm as qsgd's. How many bits is up to the scheme's `adapt`, which
 * leaves them in state[0].
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_WIDTH_H
#define DSTRAIN_RUNTIME_COMPRESS_WIDTH_H

#include <stdbool.h>
#include <stddef.h>

struct compress_input;
struct error;

enum { WIDTH_LEAST = 2, WIDTH_MOST = 8 };

float width_clip(double bits); /* a whole number */

size_t width_bound(size_t count);
/* `euclidean`: levels of the 2-norm of all of x instead of its largest magnitude. */
size_t width_encode(bool euclidean, const struct compress_input *input, unsigned char *out);
int width_decode_add(const unsigned char *bytes, size_t length, float scale, float *y, size_t count,
		     struct error *err);
double width_error(bool euclidean, const struct compress_input *input);

#endif
