/* What a rank owes to a sum. */
#include "runtime/residual.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/memory.h"
#include "runtime/coder.h"
#include "runtime/device/cpu.h"

struct residual {
	enum feedback kind;
	float momentum;
	size_t count;
	float *owed;	 /* [count]; NULL: nothing ever is */
	float *velocity; /* [count]; NULL: no momentum */
	float *sent;	 /* [count], scratch where velocities start anew */
};

struct residual *residual_new(enum feedback kind, double momentum, size_t count)
{
	struct residual *residual = xcalloc(1, sizeof(*residual));
	size_t bytes = count * sizeof(float);

	residual->kind = kind;
	residual->momentum = (float)momentum;
	residual->count = count;
	if (kind == FEEDBACK_CLASSIC || kind == FEEDBACK_MOMENTUM_CORRECTED)
		residual->owed = xaligned(bytes);
	if (kind == FEEDBACK_MOMENTUM || kind == FEEDBACK_MOMENTUM_CORRECTED)
		residual->velocity = xaligned(bytes);
	if (kind == FEEDBACK_MOMENTUM_CORRECTED)
		residual->sent = xaligned(bytes);
	return residual;
}

void residual_free(struct residual *residual)
{
	if (!residual)
		return;
	free(residual->owed);
	free(residual->velocity);
	free(residual->sent);
	free(residual);
}

float *residual_owed(struct residual *residual)
{
	return residual->owed;
}

size_t residual_state(struct residual *residual, struct state_array *arrays)
{
	size_t count = 0;

	if (residual->owed)
		arrays[count++] =
			(struct state_array){ "residual", residual->owed, residual->count };
	if (residual->velocity)
		arrays[count++] =
			(struct state_array){ "velocity", residual->velocity, residual->count };
	return count;
}

/* The mean that runs: velocity = m velocity + (1 - m) x, to be encoded in place of x. */
static void run_mean(const struct residual *residual, size_t offset, float *x, size_t count)
{
	float *velocity = residual->velocity + offset, m = residual->momentum;

	for (size_t i = 0; i < count; i++) {
		velocity[i] = m * velocity[i] + (1 - m) * x[i];
		x[i] = velocity[i];
	}
}

float *residual_due(struct residual *residual, size_t offset, float *x, size_t count)
{
	float *velocity = residual->velocity + offset;

	switch (residual->kind) {
	case FEEDBACK_NONE: return x;
	case FEEDBACK_MOMENTUM: run_mean(residual, offset, x, count); return x;
	case FEEDBACK_CLASSIC: break;
	case FEEDBACK_MOMENTUM_CORRECTED:
		cpu_scale(velocity, residual->momentum, count);
		cpu_add(velocity, x, count);
		x = velocity;
		break;
	}
	cpu_add(residual->owed + offset, x, count);
	return residual->owed + offset;
}

/* The momentum of what a sparse message holds starts anew: it has been applied (factor masking). Of
 * dense ones it goes on. */
static int restart_momentum(struct residual *residual, const struct coder *coder,
			    const unsigned char *message, size_t length, size_t offset,
			    size_t count, struct error *err)
{
	float *sent = residual->sent + offset;
	struct coder_piece piece;
	size_t span = 0;

	memset(sent, 0, count * sizeof(*sent));
	if (coder_decode(coder, message, length, 1, offset, sent, count, err) < 0)
		return -1;
	while (coder_next(coder, offset, count, &span, &piece))
		for (size_t i = piece.offset; i < piece.offset + piece.count; i++)
			if (!isfinite(residual->velocity[i]) ||
			    (piece.compressor->sparse && residual->sent[i] != 0))
				residual->velocity[i] = 0;
	return 0;
}

static void forget_overflow(float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = isfinite(x[i]) ? x[i] : 0;
}

void residual_settled(struct residual *residual, size_t offset, size_t count)
{
	if (residual->owed)
		forget_overflow(residual->owed + offset, count);
	if (residual->kind == FEEDBACK_MOMENTUM_CORRECTED)
		forget_overflow(residual->velocity + offset, count);
}

int residual_settle(struct residual *residual, const struct coder *coder,
		    const unsigned char *message, size_t length, size_t offset, size_t count,
		    struct error *err)
{
	float *owed = residual->owed;

	if (!owed)
		return 0;
	owed += offset;
	if (coder_decode(coder, message, length, -1, offset, owed, count, err) < 0)
		return -1;
	forget_overflow(owed, count);
	if (residual->kind == FEEDBACK_MOMENTUM_CORRECTED)
		return restart_momentum(residual, coder, message, length, offset, count, err);
	return 0;
}
