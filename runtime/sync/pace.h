/*
 * Ranks that go at their own pace, and where they meet: rank 0 counts the steps of all, and calls
 * for a cut when enough are done. It also tells now and then how many these are. Counts what ranks
 * tell each other, so that a cut can wait until all of it has been served.
 */
#ifndef DSTRAIN_RUNTIME_PACE_H
#define DSTRAIN_RUNTIME_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/sync/sync.h"

struct pace;

struct pace *pace_new(struct net *net, const struct group *world, const struct sync_budget *budget);
void pace_free(struct pace *pace); /* may be NULL */

/* This rank did a step. */
int pace_step(struct pace *pace, struct error *err);
/* A message of `peer` with a tag from SYNC_TAG_END on; on the progress thread. */
void pace_serve(struct pace *pace, int peer, uint64_t tag, const void *bytes, size_t length);
void pace_told(struct pace *pace);   /* a message of the strategy is about to leave */
void pace_served(struct pace *pace); /* one came, and was dealt with */
void pace_wake(struct pace *pace);   /* something may have changed for who waits */

/* How often it was woken, to be asked for before looking; whether a cut is due. */
uint64_t pace_wakes(struct pace *pace, bool *cut);
/* Sleeps until it was woken once more than `wakes`, a cut is due, or a peer is lost: -1. */
int pace_wait(struct pace *pace, uint64_t wakes, struct error *err);

/* A collective: until all that was told has been served. */
int pace_settle(struct pace *pace, struct error *err);
/* The cut that is due begins: what it is for. It ends once all ranks have begun it: rank 0 calls
 * for no other one before. */
struct sync_cut pace_begin_cut(struct pace *pace);
void pace_end_cut(struct pace *pace);
size_t pace_progress(struct pace *pace);

#endif
