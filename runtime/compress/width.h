/*
 * Payloads whose number of bits changes while training: a byte that says it, a norm, and codes of
 * one sign and levels of the norm as qsgd's. How many bits is up to the scheme's `adapt`, which
 * leaves them in state[0]; the parameters begin with a struct width_params, and all the rest is
 * WIDTH_COMPRESSOR.
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_WIDTH_H
#define DSTRAIN_RUNTIME_COMPRESS_WIDTH_H

#include <stddef.h>

struct compress_input;
struct error;

enum { WIDTH_LEAST = 2, WIDTH_MOST = 8 };

/* What the highest level stands for. */
enum width_norm { WIDTH_INF, WIDTH_EUCLIDEAN };
extern const char *const width_norms[];

struct width_params {
	int norm; /* enum width_norm */
};

/* clang-format off */
#define WIDTH_OPTION \
	{ "norm", OPT_CHOICE, offsetof(struct width_params, norm), "inf", \
	  "what the highest level stands for", .choices = width_norms }
/* clang-format on */

#define WIDTH_COMPRESSOR                                                         \
	.payload = PAYLOAD_OPAQUE, .bound = width_bound, .encode = width_encode, \
	.decode_add = width_decode_add, .error = width_error

float width_clip(double bits); /* a whole number */

size_t width_bound(const void *params, size_t count);
size_t width_encode(const void *params, const struct compress_input *input, unsigned char *out);
int width_decode_add(const void *params, const unsigned char *bytes, size_t length, float scale,
		     float *y, size_t count, struct error *err);
double width_error(const void *params, const struct compress_input *input);

#endif
