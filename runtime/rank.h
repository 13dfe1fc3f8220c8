/* A rank's life within a worker process: build, connect, restore, train, end. */
#ifndef DSTRAIN_RUNTIME_RANK_H
#define DSTRAIN_RUNTIME_RANK_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/buf.h"
#include "runtime/gate.h"
#include "runtime/transport/transport.h"

struct control_plan;
struct dataset;
struct error;
struct job;
struct roster;
struct outbox;

/* What the ranks of one process have in common. Borrowed; fixed once the ranks run. */
struct rank_env {
	const struct job *job;
	const struct control_plan *plan;
	const struct dataset *train, *test;
	const struct roster *roster;  /* who synchronises with whom; NULL: there is no plan */
	const struct net_peer *peers; /* [world] */
	struct outbox *outbox;
	void *hub; /* may be NULL */
	/* Blocks until the orchestrator says START. */
	void (*wait_start)(void *arg);
	void *arg;
};

struct rank {
	const struct rank_env *env;
	unsigned rank;
	int listener;
	unsigned char key[NET_KEY_BYTES]; /* until the net is open */
	struct gate gate; /* made by the worker, so that HOLD can come at any time */
	struct buf model, optimizer, own, debts; /* checkpoint files, complete before START */
	pthread_t thread;
};

/* The thread's main: reports READY, steps, DONE or FAILED through the outbox; returns NULL. */
void *rank_main(void *rank);

/* What every rank does, whatever it is for: NULL and err if the peers cannot be reached. */
struct net *rank_connect(struct rank *rank, struct error *err);
/* For ranks that train nothing: says READY, and blocks until START. */
void rank_await_start(const struct rank *rank);
void rank_done(const struct rank *rank, size_t completed); /* says DONE, after so many steps */
/* Tells the orchestrator, and ends the net (may be NULL) for all. */
void rank_fail(const struct rank *rank, bool lost_peer, struct net *net, struct error *err);

#endif
