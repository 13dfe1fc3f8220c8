/*
 * What goes on the wire instead of float32. A scheme is encode and decode_add of one span; which
 * spans there are, residuals, messages and collectives are runtime/exchange.c's.
 */
#ifndef DSTRAIN_RUNTIME_COMPRESS_H
#define DSTRAIN_RUNTIME_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/registry.h"
#include "runtime/rng.h"

struct error;

/* May payloads be added on the way? */
enum payload {
	PAYLOAD_SUMS,	/* the payload is the float32 vector itself: rides an allreduce */
	PAYLOAD_OPAQUE, /* decoded, added and encoded again by the owner of a slice, or gathered */
	PAYLOAD_FACTORS /* none: matrices are products of two factors, which ride allreduces */
};

/* What becomes of what a message leaves out. */
enum feedback {
	FEEDBACK_NONE,		     /* it is lost */
	FEEDBACK_CLASSIC,	     /* it is added to the next vector */
	FEEDBACK_MOMENTUM_CORRECTED, /* with momentum that comes before, see runtime/residual.h */
	FEEDBACK_MOMENTUM	     /* lost; but what is encoded is a mean that runs over steps */
};

/* What a sum of payloads is. */
enum vote {
	VOTE_NO,      /* a sum of numbers */
	VOTE_SIGNS,   /* payloads are votes, plus or minus one for each element, a bit each
		       * (runtime/compress/votes.h); what is summed becomes the sign of the count,
		       * plus if there are as many of either */
	VOTE_LARGEST, /* the same, and encode has to know compress_input.largest */
	VOTE_NORM     /* ... or norm */
};

/* What a message costs: the slowest way that this rank's go. */
struct compress_link {
	double latency_s; /* NAN: unknown */
	double bytes_per_s;
};

/* One span to encode: a tensor, or the part of one that lies in a slice. Finite numbers. */
struct compress_input {
	const float *x;
	size_t count;
	size_t first;	    /* the place of x[0] in its tensor */
	struct rng rng;	    /* for stochastic rounding: differs by rank, tensor and step */
	const float *state; /* [state_count] what adapt keeps; NULL if it keeps nothing */
	/* Of the tensor, or the part of it in a vector of which x may be a slice; 0: unknown. */
	float largest;			  /* |x| on any rank */
	double norm;			  /* Euclidean */
	const struct compress_link *link; /* NULL: unknown */
};

/* What a scheme that adapts sees at the beginning of a step. */
struct compress_step {
	size_t step, steps; /* of the training; steps 0: not known */
	size_t count;	    /* of this rank's vector of the step before; 0: there was none */
	double norm2, norm_inf, mean_abs, deviation; /* of it, before residuals were added */
};

/* Coordinates of which a payload speaks, and what it says of them. */
struct compress_pairs {
	uint32_t *indices; /* each above the one before */
	float *values;
	size_t count;
};

struct compressor {
	struct entry entry;
	enum payload payload;
	bool sparse;		/* most coordinates are left out */
	enum feedback feedback; /* that suits it: the default */
	/* Optional: with these params debts would grow without bounds, and none is the default. */
	bool (*runs_away)(const void *params);

	/* With PAYLOAD_FACTORS, which has none of the four below: how many columns the factors of
	 * a matrix have, fewer than it has rows or columns; 0: it had better travel as it is. */
	size_t (*rank)(const void *params, size_t rows, size_t columns);

	/* The most bytes that encode can write for `count` elements, whatever the state is. */
	size_t (*bound)(const void *params, size_t count);
	/* Writes at most bound() bytes to out; returns how many. No span of count 0. */
	size_t (*encode)(const void *params, const struct compress_input *input,
			 unsigned char *out);
	/* y[i] += scale * decoded[i]. Bytes come from a peer: a payload that encode cannot have
	 * made of `count` elements, or that is cut short or too long, is an error. */
	int (*decode_add)(const void *params, const unsigned char *bytes, size_t length,
			  float scale, float *y, size_t count, struct error *err);
	/* The most by which decoded may be off in the Euclidean norm, for this very input. */
	double (*error)(const void *params, const struct compress_input *input);
	/* Optional, both or neither, of schemes that choose coordinates: the most of `count` that a
	 * payload holds, and those that this one holds, their indices counted from `first`. Bytes
	 * as for decode_add. */
	size_t (*chosen)(const void *params, size_t count);
	int (*pairs)(const void *params, const unsigned char *bytes, size_t length, size_t first,
		     size_t count, struct compress_pairs *pairs, struct error *err);

	enum vote (*vote)(const void *params); /* optional: no votes */

	/* Optional: levels that change while training. state[0] is the level, which metrics show
	 * (bits a coordinate, or the share of coordinates that is sent); the rest is the scheme's.
	 */
	size_t state_count;
	void (*adapt)(const void *params, const struct compress_step *step, float *state);
};

extern const struct registry compressors;

#endif
