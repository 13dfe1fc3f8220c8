/* How long a rank's own part of a training step takes: what a plan cannot know from links. */
#ifndef DSTRAIN_RUNTIME_CALIBRATE_H
#define DSTRAIN_RUNTIME_CALIBRATE_H

struct error;
struct outfit_env;

/*
 * Builds the model and trains it for a moment without anybody else; nothing of that is kept.
 * *step_s: seconds of a step, the median. Ranks that share a host have to do it at the same time.
 */
int calibrate(const struct outfit_env *env, double *step_s, struct error *err);

#endif
