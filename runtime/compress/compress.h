/*
 * What goes on the wire instead of float32. A compressor is encode and decode_add; residuals,
 * framing and collectives are runtime/exchange.c's.
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_H
#define DSTRAIN_RUNTIME_COMPRESS_H

#include <stddef.h>

#include "lib/registry.h"
#include "runtime/rng.h"

struct error;

/* May payloads be added on the way? */
enum payload {
	PAYLOAD_SUMS,	/* the payload is the float32 vector itself: rides an allreduce */
	PAYLOAD_OPAQUE, /* gathered and decoded one by one */
};

/* One vector to encode. */
struct compress_input {
	const float *x;
	size_t count;
	struct rng rng; /* for stochastic rounding: differs by rank, offset and step */
};

struct compressor {
	struct entry entry;
	enum payload payload;
	/* The most bytes that encode can write for `count` elements. */
	size_t (*bound)(const void *params, size_t count);
	/* Writes at most bound() bytes to out; returns how many. */
	size_t (*encode)(const void *params, const struct compress_input *input,
			 unsigned char *out);
	/* y[i] += scale * decoded[i]. Bytes come from a peer: a malformed payload is an error. */
	int (*decode_add)(const void *params, const unsigned char *bytes, size_t length,
			  float scale, float *y, size_t count, struct error *err);
};

extern const struct registry compressors;

#endif
