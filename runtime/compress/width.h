/*
 * Payloads whose number of bits changes while training: a byte that says it, a norm, and codes of
 * one sign and levels of the norm as qsgd's. How many bits is up to the scheme's `adapt`, which
 * leaves them in state[0].
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_WIDTH_H
#define DSTRAIN_RUNTIME_COMPRESS_WIDTH_H

#include <stddef.h>

struct compress_input;
struct error;

enum { WIDTH_LEAST = 2, WIDTH_MOST = 8 };

/* What the highest level stands for: values of the option `norm`, named in width_norms. */
enum width_norm { WIDTH_INF, WIDTH_EUCLIDEAN };
extern const char *const width_norms[];

float width_clip(double bits); /* a whole number */

size_t width_bound(size_t count);
size_t width_encode(enum width_norm norm, const struct compress_input *input, unsigned char *out);
int width_decode_add(const unsigned char *bytes, size_t length, float scale, float *y, size_t count,
		     struct error *err);
double width_error(enum width_norm norm, const struct compress_input *input);

#endif
