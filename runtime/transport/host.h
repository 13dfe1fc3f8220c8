/*
 * How the ranks of one host meet, to share memory: the lowest one makes it and passes it to the
 * others, through a socket in a directory that only the user can enter. They agree on every step
 * over connections that they have already, so that either all of them share or none does.
 */
#ifndef DSTRAIN_RUNTIME_HOST_H
#define DSTRAIN_RUNTIME_HOST_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct host_memory;
struct net_env;
struct net_shared;
struct pipe_end;
struct pipe_sleeper;

/* How a rank talks to another one of its host: blocking, in order, authenticated. */
struct host_link {
	int (*tell)(void *arg, int peer, const void *bytes, size_t length, struct error *err);
	int (*hear)(void *arg, int peer, void *bytes, size_t length, struct error *err);
	void *arg;
};

/*
 * The ranks of a host are those with an equal net_peer.host. *out becomes NULL where there is one
 * rank only, or where they cannot share memory: a message in the log says why. -1: the link failed.
 * Takes as long as the link does, and env->timeout_s at most for each message. `env` is not
 * needed afterwards.
 */
int host_meet(struct host_memory **out, const struct net_env *env, const struct host_link *link,
	      struct error *err);
void host_free(struct host_memory *memory); /* may be NULL */

const struct net_shared *host_shared(const struct host_memory *memory);
/* This rank's, and the eventfd by which the others wake it. */
struct pipe_sleeper *host_sleeper(const struct host_memory *memory);
int host_bell(const struct host_memory *memory);
/* The two pipes of this rank and `peer`, new; false: it is of another host. */
bool host_pipes(const struct host_memory *memory, int peer, struct pipe_end *in,
		struct pipe_end *out);

#endif
