/*
 * What a rank owes to a sum: error feedback (Seide et al. 2014; Karimireddy et al. 2019), by which
 * what a message leaves out is sent later. Vectors are parts of a block, told apart by their
 * offset.
 *
 * Momentum-corrected (Lin et al., "Deep gradient compression", ICLR 2018): momentum comes before
 * the debt, u = m u + x, so that what waits waits as it would have been applied, and u of what is
 * sent starts anew. The optimizer must then have no momentum of its own.
 */
#ifndef DSTRAIN_RUNTIME_RESIDUAL_H
#define DSTRAIN_RUNTIME_RESIDUAL_H

#include <stddef.h>

#include "runtime/compress/compress.h"
#include "runtime/state_array.h"

struct coder;
struct error;
struct residual;

/* Of `count` floats. `momentum` counts where `kind` has it. */
struct residual *residual_new(enum feedback kind, double momentum, size_t count);

/* x[count], which is block[offset ..), joins what is owed. What to encode: x itself, or where the
 * debt is. */
float *residual_due(struct residual *residual, size_t offset, float *x, size_t count);

/* Takes what a message says, as this rank encoded it, out of what is owed for block[offset ..). A
 * debt that overflowed is forgotten: one bad step must not spoil all later ones. */
int residual_settle(struct residual *residual, const struct coder *coder,
		    const unsigned char *message, size_t length, size_t offset, size_t count,
		    struct error *err);

/* The same after the caller itself took out of residual_owed() what went of block[offset ..). */
void residual_settled(struct residual *residual, size_t offset, size_t count);

float *residual_owed(struct residual *residual); /* [count]; NULL: nothing ever is */
/* Fills arrays[], at most two, and returns how many. */
size_t residual_state(struct residual *residual, struct state_array *arrays);
void residual_free(struct residual *residual); /* may be NULL */

#endif
