/*
 * A parameter server whose parts are ranks. Each holds a piece of the parameters; all compute.
 * After a step of its own a rank sends what its weights changed by to the holders, a piece to each,
 * and has the pieces' values back. What strategies on top of it differ in is a struct server_rule;
 * everything else they need is SERVER_STRATEGY.
 */
#ifndef DSTRAIN_RUNTIME_SYNC_SERVER_H
#define DSTRAIN_RUNTIME_SYNC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/sync/dampening.h"
#include "runtime/sync/keeper.h"
#include "runtime/sync/sync.h"

struct server;

/* Options in common. */
struct server_params {
	struct opt_counts servers;
	double rate;
};

/* clang-format off */
#define SERVER_OPTIONS(type, member) \
	{ "servers", OPT_COUNTS, offsetof(type, member.servers), "", \
	  "ranks that hold the parameters; all if none is given", .max = 65534 }, \
	{ "rate", OPT_REAL, offsetof(type, member.rate), "1", \
	  "the part of an update that is applied, times the number of ranks", .min = 0, .max = 1e6 }
#define SERVER_OVERLAP(type, member, overlap_default) \
	{ "overlap", OPT_BOOL, offsetof(type, member), overlap_default, \
	  "compute the next step while the answer to the last one is under way" }
/* clang-format on */

/* Who says something of a rank's own updates, on its training thread. */
struct server_witness {
	void *arg;
	/* Of a step's update, which began with the weights `from`: a number for the holder of the
	 * piece from `offset` on. */
	double (*tell)(void *arg, const float *from, const float *update, size_t offset,
		       size_t count);
	/* The step has been told of. */
	void (*done)(void *arg, const float *from, const float *update);
};

struct server_rule {
	struct dampening dampening;
	size_t bound; /* 0: none; of clocks from each other, as in runtime/sync/ledger.h */
	bool overlap, rounds;
	const struct keeper_judge *judge;     /* NULL: takes all; borrowed */
	const struct server_witness *witness; /* NULL: says nothing; borrowed */
};

/* The state of a strategy begins with a pointer to its server. */
#define SERVER_STRATEGY                                                                  \
	.asynchronous = true, .own_samples = true, .pairs = true, .begin = server_begin, \
	.weights = server_weights, .go = server_go, .settle = server_settle,             \
	.report = server_report, .serve = server_serve, .state = server_state

struct server *server_new(const struct server_params *params, const struct server_rule *rule,
			  const struct sync_env *env, struct error *err);
size_t server_holds(const struct server *server); /* parameters, this rank */
void server_free(struct server *server);	  /* may be NULL */

int server_weights(void *memory, size_t step, float *weight, struct error *err);
int server_go(void *memory, size_t step, float *weight, struct error *err);
int server_begin(void *memory, const float *weight, struct error *err);
int server_settle(void *memory, float *weight, struct error *err);
void server_report(void *memory, struct drift *drift);
void server_serve(void *memory, int peer, uint64_t tag, const void *bytes, size_t length);
size_t server_state(void *memory, struct state_array *arrays);

#endif
