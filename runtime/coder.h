/*
 * Parts of a block as messages, tensor by tensor: each is encoded by itself, by the scheme of all
 * or by that of a rule for its name, with scales of its own, behind the length of its payload.
 * Keeps what schemes learn while training.
 */
#ifndef DSTRAIN_RUNTIME_CODER_H
#define DSTRAIN_RUNTIME_CODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/compress/compress.h"

struct coder;
struct compress_pairs;
struct compress_rules;
struct error;
struct part;

/* A tensor of the block. */
struct coder_span {
	const char *name; /* for messages, and for rules */
	size_t offset, count;
	size_t rows; /* of a matrix, row-major; 0: it is none */
	bool exact;  /* as float32, whatever the scheme is */
};

struct coder_env {
	const struct part *compressor;	    /* borrowed */
	const struct compress_rules *rules; /* for some tensors; borrowed, may be NULL */
	int rank;			    /* ranks draw other random numbers */
	uint64_t seed;
	size_t count;			/* of the block */
	size_t steps;			/* of the training; 0: not known */
	const struct coder_span *spans; /* borrowed: adjoining, in order, the whole block; NULL:
					 * it is one */
	size_t span_count;
	struct compress_link link; /* bytes_per_s 0: not known */
};

struct coder *coder_new(const struct coder_env *env);
/* Whether decoded numbers are not what was encoded, somewhere in block[offset .. offset + count).
 */
bool coder_is_lossy(const struct coder *coder, size_t offset, size_t count);

/* The part of a tensor that lies in a vector. */
struct coder_piece {
	const struct coder_span *span;
	size_t offset, count; /* of the block */
	const struct compressor *compressor;
	const void *params; /* of it */
	enum vote vote;
};

/* -1 and err, with the tensor's name, if a number of the piece, which is at x, is not finite. */
int coder_check(const struct coder *coder, const struct coder_piece *piece, const float *x,
		struct error *err);

/* The next piece of block[offset .. offset + count), from *span on, which is 0 at first; false:
 * there is none. */
bool coder_next(const struct coder *coder, size_t offset, size_t count, size_t *span,
		struct coder_piece *piece);

/* Before block[offset ..), x[count], is encoded: a new step, if it is of one, has schemes adapt to
 * what the vectors of the step before were like. Steps never fall. */
void coder_begin(struct coder *coder, size_t step, size_t offset, const float *x, size_t count);

/* So many bytes, of so many coordinates, are sent but not messages of this coder's. */
void coder_count(struct coder *coder, size_t bytes, size_t count);

/* The most bytes that block[offset .. offset + count) can need: on all ranks the same. There and
 * below tensors of PAYLOAD_FACTORS are left out. */
size_t coder_bound(const struct coder *coder, size_t offset, size_t count);
/* Encodes block[offset .. offset + count), which is at x, to `out`. The length, at most
 * coder_bound; 0 and err if a number is not finite, with the tensor's name. */
size_t coder_encode(struct coder *coder, size_t offset, const float *x, size_t count,
		    unsigned char *out, struct error *err);
/* The same for what came of other messages: of votes, what most of them say. */
size_t coder_encode_sum(struct coder *coder, size_t offset, const float *x, size_t count,
			unsigned char *out, struct error *err);
/* Before anything of block[offset ..), which is at x, is encoded: what votes depend on. Where it is
 * the largest |x| of a tensor on any rank, those of this one, [*spans], for the caller to replace;
 * NULL: nowhere. */
float *coder_measure(struct coder *coder, size_t offset, const float *x, size_t count,
		     size_t *spans);
/* y[count], which is block[offset ..), gains scale * what the message says, which may be anything:
 * -1 and err if encode cannot have made it; y is then of no use. */
int coder_decode(const struct coder *coder, const unsigned char *message, size_t length,
		 float scale, size_t offset, float *y, size_t count, struct error *err);

/* Votes among block[offset .. offset + count), which is at x, take its place: what this rank says,
 * for which `scratch` has coder_bound bytes; or of counts what most say. What is no vote stays. */
int coder_cast_votes(const struct coder *coder, size_t offset, float *x, size_t count,
		     unsigned char *scratch, struct error *err);
void coder_count_votes(const struct coder *coder, size_t offset, float *x, size_t count);

/* The most coordinates of block[offset .. offset + count) that a message gives: all of those whose
 * scheme does not choose. */
size_t coder_chosen(const struct coder *coder, size_t offset, size_t count);
/* As coder_decode, but as pairs, their indices counted from `offset`, for which there is room. */
int coder_pairs(const struct coder *coder, const unsigned char *message, size_t length,
		size_t offset, size_t count, struct compress_pairs *pairs, struct error *err);

/* What was sent so far: bytes of all messages together, for so many coordinates; and the level
 * of the first scheme that adapts in the latest step, 0: none. */
struct coder_report {
	uint64_t bytes, coordinates;
	double level;
};

struct coder_report coder_report(const struct coder *coder);
/* What the schemes have learnt of the steps so far, [*count], for checkpoints; NULL: nothing. */
float *coder_state(struct coder *coder, size_t *count);
void coder_free(struct coder *coder); /* may be NULL */

#endif
