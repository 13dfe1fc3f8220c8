/*
 * TLS 1.3 over a non-blocking socket, authenticated by a key that both sides know and by nothing
 * else: an external PSK with ephemeral keys, no certificates, no tickets.
 */
#ifndef DSTRAIN_RUNTIME_TLS_H
#define DSTRAIN_RUNTIME_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/transport/transport.h"

struct error;
struct tls;
struct tls_setup;

/* What all connections of a rank share. */
struct tls_setup *tls_setup_new(const unsigned char key[NET_KEY_BYTES], struct error *err);
void tls_setup_forget(struct tls_setup *setup); /* the key: there will be no more connections */
void tls_setup_free(struct tls_setup *setup);	/* after every struct tls; may be NULL */

/* One connection; `fd` is borrowed. The calls are for one thread at a time. */
struct tls *tls_new(struct tls_setup *setup, int fd, bool dials, struct error *err);
void tls_free(struct tls *tls); /* may be NULL */

/* 1: done; 0: not yet; -1: failed. */
int tls_shake(struct tls *tls, struct error *err);
/* As sock_read and sock_write. After 0 from a write the same bytes must come again. What was
 * written is gathered; tls_flush sends the rest. 1: all of it; 0: not yet; -1: failed. */
long tls_read(struct tls *tls, void *bytes, size_t length, struct error *err);
long tls_write(struct tls *tls, const void *bytes, size_t length, struct error *err);
int tls_flush(struct tls *tls, struct error *err);
void tls_end(struct tls *tls); /* no more writing; best effort */

bool tls_wants_write(const struct tls *tls); /* what stopped the last call was a full socket */
bool tls_was_refused(const struct tls *tls); /* what failed was TLS, not the connection */
bool tls_holds_input(const struct tls *tls); /* bytes off the socket that nobody has read */
uint64_t tls_wire_sent(const struct tls *tls);

#endif
