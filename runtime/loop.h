/* The training loop of one rank. */
#ifndef DSTRAIN_RUNTIME_LOOP_H
#define DSTRAIN_RUNTIME_LOOP_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/checkpoint.h"
#include "runtime/coll.h"
#include "runtime/evaluate.h"
#include "runtime/fault.h"
#include "runtime/metrics.h"

struct dataset;
struct error;
struct feed;
struct gate;
struct model;
struct optim;
struct outbox;
struct shard;
struct sync;

/* What a rank trains with. All borrowed. */
struct loop {
	struct model *model;
	float *weight, *grad; /* [model_count] */
	const struct dataset *train, *test;
	struct shard *shard;
	struct feed *feed;
	struct sync *sync;
	struct optim *optim;
	struct net *net;
	struct group world;
	struct checkpoint_parts parts;
	struct outbox *outbox;
	struct gate *gate;
	struct metrics metrics;
	struct fault fault;
	size_t first_step, steps;
	size_t eval_every, checkpoint_every; /* steps; 0: only at the end */
	enum eval_ranks eval_ranks;
	bool peer_failed; /* out: a failure came from the network, not from this rank */
};

/* From first_step to steps, or to where the gate stops it; evaluates and checkpoints on the way and
 * at the end. *completed: steps done. */
int loop_run(struct loop *loop, size_t *completed, struct error *err);
/* The same where each rank goes at its own pace: sync_budget says how far, and where they meet. */
int loop_run_paced(struct loop *loop, size_t *completed, struct error *err);

/* For sync_env.loss, with the loop. */
double loop_loss(void *arg, size_t step, const float *weight);

#endif
