/* Which of this machine's addresses the peers should reach. */
#ifndef DSTRAIN_RUNTIME_ADDRESS_H
#define DSTRAIN_RUNTIME_ADDRESS_H

#include <stdbool.h>

struct error;

/* Texts may be "", for not known. */
struct address_hints {
	const char *data_addr;	/* exactly this one */
	const char *network;	/* or the one within this CIDR */
	const char *reached_by; /* or the one by which SSH came */
	bool loopback_allowed;	/* or 127.0.0.1, all ranks being here */
};

/* A numeric address (caller frees), never looked up from the host's name. NULL and err if the hints
 * name none that this machine has, or a loopback address where hosts differ. */
char *address_pick(const struct address_hints *hints, struct error *err);

/* The address by which SSH reached this machine, "" if it did not; caller frees. */
char *address_reached_by(void);

#endif
