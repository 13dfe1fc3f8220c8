/*
 * A rank's part of a checkpoint: made here, stored by the orchestrator. model.safetensors holds the
 * model (the mean over the ranks where they differ), optimizer.safetensors the optimizer's slots;
 * both come from rank 0. rank-N.safetensors holds what rank N has of its own.
 */
#ifndef DSTRAIN_RUNTIME_CHECKPOINT_H
#define DSTRAIN_RUNTIME_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct error;
struct exchange;
struct group;
struct model;
struct net;
struct optim;
struct outbox;
struct sync;

/* What a checkpoint holds. All borrowed. */
struct checkpoint_parts {
	const struct model *model;
	float *weight;
	struct optim *optim;
	struct sync *sync;
	struct exchange *exchange;
	float *shares; /* [world] samples of a batch; NULL: equal ones */
	size_t world;
	bool replicated; /* weights and slots are the same on all ranks */
};

/* Collective where ranks differ: every rank calls it at the same step. The files are queued, large
 * ones as they are written; a copy of them is held only where that takes seconds. */
int checkpoint_save(const struct checkpoint_parts *parts, size_t step, struct net *net,
		    struct outbox *outbox, struct error *err);

/* Files received for this rank; any may be empty. */
struct checkpoint_files {
	const struct buf *model, *optimizer, *own;
	const struct buf *debts; /* of ranks of a run of another size: some arrays of its own */
};
/*
 * Restoring takes these three in order. Rank 0 reads what it was sent; all take its weights and
 * slots, which without files are the initial ones (collective); each reads what is its own.
 */
int checkpoint_read(const struct checkpoint_parts *parts, const struct checkpoint_files *files,
		    struct error *err);
int checkpoint_share(const struct checkpoint_parts *parts, struct net *net,
		     const struct group *world, struct error *err);
int checkpoint_read_own(const struct checkpoint_parts *parts, const struct checkpoint_files *files,
			struct error *err);

#endif
