/* How long a rank's own part of a training step takes: what no link tells a plan. */
#ifndef DSTRAIN_RUNTIME_CALIBRATE_H
#define DSTRAIN_RUNTIME_CALIBRATE_H

struct error;
struct outfit_env;

/*
 * Trains for a moment without anybody else; nothing of that is kept. *step_s: seconds of a step,
 * the median.
 */
int calibrate(const struct outfit_env *env, double *step_s, struct error *err);

#endif
