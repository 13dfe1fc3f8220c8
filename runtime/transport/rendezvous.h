/*
 * Meets the peers of a rank: dials the lower ranks, again and again until they are up, and accepts
 * the higher ones. Strangers are refused; they can neither block nor delay it for long. For one
 * thread; nothing here blocks.
 */
#ifndef DSTRAIN_RUNTIME_RENDEZVOUS_H
#define DSTRAIN_RUNTIME_RENDEZVOUS_H

#include <stddef.h>

struct error;
struct hello;
struct net_env;
struct pollfd;
struct rendezvous;
struct stream;
struct tls_setup;

/* An authenticated peer, and which of the connections to it this is; takes the stream over. */
typedef void rendezvous_met(void *arg, int peer, int number, const struct stream *stream);

/* Everything is borrowed until rendezvous_free, but the listening socket is taken over. */
struct rendezvous *rendezvous_new(const struct net_env *env, struct tls_setup *setup,
				  const struct hello *mine);
void rendezvous_free(struct rendezvous *rendezvous); /* may be NULL */

size_t rendezvous_poll_max(const struct rendezvous *rendezvous);
/* Fills `polls` and returns how many; *until falls to when rendezvous_step is due without events.
 */
size_t rendezvous_poll(struct rendezvous *rendezvous, struct pollfd *polls, double *until);
/* Goes on as poll found it; reports whom it met. -1: some peer will never be met, or the deadline
 * of env->timeout_s after the start has passed; err says why. */
int rendezvous_step(struct rendezvous *rendezvous, const struct pollfd *polls, rendezvous_met *met,
		    void *arg, struct error *err);
size_t rendezvous_missing(const struct rendezvous *rendezvous);

#endif
