/*
 * What workers are told before they train: the plan, the links that it was made for, and on which
 * of their hosts each rank is. JSON, as struct control_plan carries it.
 */
#ifndef DSTRAIN_LIB_ROSTER_H
#define DSTRAIN_LIB_ROSTER_H

#include "lib/links.h"
#include "lib/plan.h"

struct buf;
struct error;
struct hosts;

/* All owned. Zeroed is valid, and no plan. */
struct roster {
	struct plan plan;
	struct links links;
	int *host_of; /* [world] */
	int world;    /* 0: there is no plan */
};

/* On which host each rank is, as they are numbered: host by host, slot by slot. Caller frees. */
int *roster_spread(const size_t *slots, size_t hosts, int *world);
int *roster_host_of(const struct hosts *hosts);
void roster_print(const struct roster *roster, struct buf *out);
/* `out` is zeroed after a failure. */
int roster_parse(struct roster *out, const char *text, int world, struct error *err);
void roster_release(struct roster *roster);

#endif
