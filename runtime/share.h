/*
 * How a batch is shared out: in equal parts, or in proportion to how fast ranks are. Speeds are
 * measured once, before the first step, and what follows from them is kept in checkpoints: a run
 * that goes on has the shares that it had.
 */
#ifndef DSTRAIN_RUNTIME_SHARE_H
#define DSTRAIN_RUNTIME_SHARE_H

#include <stddef.h>

struct error;
struct fault;
struct group;
struct net;
struct outfit_env;

enum share_rule { SHARE_EQUAL, SHARE_MEASURED };
extern const char *const share_rules[]; /* NULL-terminated, for option tables */

/* The most samples of a batch that a rank may get: memory is laid out for them. */
size_t share_most(enum share_rule rule, size_t batch, size_t world);
/* samples[world] becomes what each rank takes of a batch: in proportion to speed[world], but at
 * least one, at most share_most, `batch` in all. */
void share_allot(const float *speed, size_t world, size_t batch, float *samples);

/* Zeroed is valid, and stands for equal shares. */
struct shares {
	size_t world, batch;
	double speed;	/* of this rank, in samples per second */
	float *samples; /* [world], which checkpoints hold */
	double *part;	/* [world] of the batch */
};

/* Trains for a moment, without anybody else. A rank that is to straggle is as slow. */
int shares_measure(struct shares *out, const struct outfit_env *env, const struct fault *fault,
		   struct error *err);
/* All ranks have the same shares afterwards. */
int shares_agree(struct shares *shares, struct net *net, const struct group *world,
		 struct error *err);
/* Those of a checkpoint have taken the place of what was measured: fills in the rest. */
int shares_settle(struct shares *shares, struct error *err);
/* Where a rank's samples begin. */
size_t shares_first(const struct shares *shares, unsigned rank);
void shares_tell(const struct shares *shares); /* to the log */
void shares_release(struct shares *shares);

#endif
