/* How long a rank's own part of a training step takes, and what its compressor does: what no link
 * tells a plan. */
#ifndef DSTRAIN_RUNTIME_CALIBRATE_H
#define DSTRAIN_RUNTIME_CALIBRATE_H

#include <stddef.h>

struct cost_codec;
struct error;
struct job;
struct model;
struct outfit_env;

/*
 * Trains for a moment without anybody else; nothing of that is kept. *step_s: seconds of a step,
 * the median.
 */
int calibrate(const struct outfit_env *env, double *step_s, struct error *err);

/*
 * Compresses and decompresses for a moment what looks like a gradient of the model: what each of
 * `ranks_here` ranks takes that share the processors of this machine. out->ratio is 0 where the
 * recipe compresses nothing, or nothing that a coder could show.
 */
void calibrate_codec(struct cost_codec *out, const struct job *job, const struct model *model,
		     size_t ranks_here);

#endif
