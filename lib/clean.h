/* What runs left on a host, and its removal: the cache, sockets, workers whose run is gone. */
#ifndef DSTRAIN_LIB_CLEAN_H
#define DSTRAIN_LIB_CLEAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct host;

enum clean_kind {
	CLEAN_PROGRAM, /* of the cache */
	CLEAN_DATA,    /* of the cache: a data file, or half of one */
	CLEAN_SOCKET,  /* that nobody listens at */
	CLEAN_WORKER,  /* that outlived its run */
	CLEAN_BUSY,    /* a worker of a run that goes on: its host is left as it is */
	CLEAN_KINDS
};

struct clean_item {
	enum clean_kind kind;
	uint64_t bytes;
	char *what; /* path, or "pid 12 (dstrain-1a2b3c4), started from 10.0.0.5"; owned */
};

/* What was found on one host, and unless `busy`, removed. Zeroed is valid. */
struct clean_result {
	struct clean_item *items;
	size_t count;
	uint64_t bytes;
	bool busy; /* and therefore nothing was done */
};

struct clean_order {
	bool dry;   /* only look */
	bool force; /* also where a run is at work */
};

/*
 * Asks the host, by one script over SSH or, for a local one, by /bin/sh here (from the main thread
 * only). Only what the script can tell by its path to be ours is touched: a process by the file
 * that it executes and its start time. Nothing has to be installed there.
 */
int clean_host(const struct host *host, const struct clean_order *order, struct clean_result *out,
	       struct error *err);
void clean_result_release(struct clean_result *result);

#endif
