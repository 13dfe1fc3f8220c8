/* Sends a checkpoint's files to the workers that go on from it. */
#ifndef DSTRAIN_LIB_RESTORE_H
#define DSTRAIN_LIB_RESTORE_H

#include <stddef.h>
#include <stdint.h>

struct channel;
struct error;
struct manifest;
struct pulse;

/*
 * Rank 0 gets the model and hands it on; what belongs to one rank goes to that one, if the
 * checkpoint is of as many ranks. If not, debts to sums are handed over: rank r of `world` gets
 * those of r, r + world, r + 2 world, ... added up, or none. Only fills the channels' buffers, and
 * the pulse is theirs while a file is read.
 */
int restore_send(struct channel *channels, uint32_t world, struct pulse *pulse, const char *dir,
		 const struct manifest *manifest, struct error *err);

#endif
