/*
 * A group's place in the memory that its members share: how far each of them has come in a
 * collective, and the bytes that they give each other. Progress is a number of steps, counted from
 * coll_channel_open; every member of a collective makes the same number of them.
 */
#ifndef DSTRAIN_RUNTIME_COLL_CHANNEL_H
#define DSTRAIN_RUNTIME_COLL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/transport/transport.h"

struct error;
struct group;

enum {
	COLL_CHANNELS = 16,	      /* groups with a smaller id share memory, the others do not */
	COLL_CHANNEL_PLACES = 64,     /* ranks of a host that can */
	COLL_CHANNEL_BOARD = 4 << 10, /* bytes that the channel itself needs of each place */
};

/* On the stack of a collective. All fields belong to the channel. */
struct coll_channel {
	struct net *net;
	const struct group *group;
	const struct net_shared *shared;
	uint32_t start[COLL_CHANNEL_PLACES]; /* steps made with each member before */
	unsigned half;
	bool crowded; /* more ranks here than processors */
};

/* Do all members share memory with this rank? */
bool coll_channel_serves(const struct net *net, const struct group *group);
/* Waits for nobody, unless the channel served another group last. */
int coll_channel_open(struct coll_channel *channel, struct net *net, const struct group *group,
		      struct error *err);
/* This rank has read all that it needs. `steps`: made in this collective. */
void coll_channel_close(struct coll_channel *channel, uint32_t steps);

/* The coll_channel_room bytes of a member (its index in the group), which only it writes. Group 0
 * has more of them than the others; the same on all members. */
unsigned char *coll_channel_bytes(const struct coll_channel *channel, int member);
size_t coll_channel_room(const struct coll_channel *channel);

/* Tells the others that this rank has made `steps` steps; what it wrote before is theirs to read.
 */
void coll_channel_advance(struct coll_channel *channel, uint32_t steps);
/* Until the members from `first` on, `count` of them, modulo the group's size and without this
 * rank, have made `steps` steps. Fails as the net's waits do. */
int coll_channel_wait(struct coll_channel *channel, int first, int count, uint32_t steps,
		      struct error *err);
/* Until all members have closed what came before this collective. */
int coll_channel_settle(struct coll_channel *channel, struct error *err);

/* For collectives of one step, which use two halves of a buffer in turn: the half that is this
 * rank's to write, and that which a member, having made the step, has written. */
unsigned coll_channel_half(const struct coll_channel *channel);
unsigned coll_channel_half_of(const struct coll_channel *channel, int member);

#endif
