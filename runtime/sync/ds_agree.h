/*
 * How ranks change to another schedule at the same step. Rank 0 proposes schedule and step; every
 * other rank says whether it has heard in time, before it formed its group of that step, and if so
 * forms no group of it before the verdict is there; only if all have is the schedule taken. So no
 * rank can miss a change, and in general nobody waits: the step is a few periods away.
 */
#ifndef DSTRAIN_RUNTIME_DS_AGREE_H
#define DSTRAIN_RUNTIME_DS_AGREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ds_agree;
struct error;
struct group;
struct net;
struct schedule;

enum { DS_PHASES = 64 }; /* of a schedule that can be proposed */

/* Both borrowed. */
struct ds_agree *ds_agree_new(struct net *net, const struct group *world);
void ds_agree_free(struct ds_agree *agree); /* may be NULL */

/* Rank 0: `schedule` (copied), from step `from` on, which nobody may have come to when he hears.
 * A proposal that was under way is forgotten. */
int ds_agree_propose(struct ds_agree *agree, const struct schedule *schedule, uint64_t from,
		     struct error *err);
/* Rank 0: some rank heard too late. */
bool ds_agree_was_refused(struct ds_agree *agree);
/* A message with one of our tags; on the progress thread. False: it is somebody else's. */
bool ds_agree_serve(struct ds_agree *agree, int peer, uint64_t tag, const void *bytes,
		    size_t length);

/* Before the group of a step is formed: steps come in rising order. 1: *schedule was replaced by
 * the one agreed upon; 0: it goes on. Waits for a verdict if there has to be one. */
int ds_agree_pass(struct ds_agree *agree, uint64_t step, struct schedule *schedule,
		  struct error *err);

/*
 * For checkpoints: a record of ds_agree_record_size floats with the schedule in force (NULL: the
 * one that the run began with) and the one that was agreed upon for later. Restoring sets
 * *schedule, if it was in the record; what is wrong with one is an error.
 */
size_t ds_agree_record_size(const struct ds_agree *agree);
void ds_agree_save(struct ds_agree *agree, const struct schedule *in_force, float *record);
int ds_agree_restore(struct ds_agree *agree, const float *record, struct schedule *schedule,
		     bool *replaced, struct error *err);

#endif
