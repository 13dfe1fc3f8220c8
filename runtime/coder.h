/*
 * Parts of a block as messages, tensor by tensor: each is encoded by itself, with scales of its
 * own, behind the length of its payload. Keeps what a scheme learns while training.
 */
#ifndef DSTRAIN_RUNTIME_CODER_H
#define DSTRAIN_RUNTIME_CODER_H

#include <stddef.h>
#include <stdint.h>

struct coder;
struct error;
struct part;

/* A tensor of the block. */
struct coder_span {
	const char *name; /* for messages */
	size_t offset, count;
};

struct coder_env {
	const struct part *compressor; /* borrowed */
	int rank;		       /* ranks draw other random numbers */
	uint64_t seed;
	size_t count;			/* of the block */
	size_t steps;			/* of the training; 0: not known */
	const struct coder_span *spans; /* borrowed: adjoining, in order, the whole block; NULL:
					 * it is one */
	size_t span_count;
};

struct coder *coder_new(const struct coder_env *env);
/* Before a vector is encoded: a new step, if it is of one, has the scheme adapt to what the vectors
 * of the step before were like. Steps never fall. */
void coder_begin(struct coder *coder, size_t step, const float *x, size_t count);

/* The most bytes that block[offset .. offset + count) can need: on all ranks the same. */
size_t coder_bound(const struct coder *coder, size_t offset, size_t count);
/* Encodes block[offset .. offset + count), which is at x, to `out`. The length, at most
 * coder_bound; 0 and err if a number is not finite, with the tensor's name. */
size_t coder_encode(struct coder *coder, size_t offset, const float *x, size_t count,
		    unsigned char *out, struct error *err);
/* y[count], which is block[offset ..), gains scale * what the message says, which may be anything:
 * -1 and err if encode cannot have made it; y is then of no use. */
int coder_decode(const struct coder *coder, const unsigned char *message, size_t length,
		 float scale, size_t offset, float *y, size_t count, struct error *err);

/* What was encoded so far: bytes of all messages together, for so many coordinates; and the level
 * of a scheme that adapts in the latest step, 0: none. */
struct coder_report {
	uint64_t bytes, coordinates;
	double level;
};

struct coder_report coder_report(const struct coder *coder);
/* What the scheme has learnt of the steps so far, [*count], for checkpoints; NULL: nothing. */
float *coder_state(struct coder *coder, size_t *count);
void coder_free(struct coder *coder); /* may be NULL */

#endif
