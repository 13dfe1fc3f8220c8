/*
 * From a socket to an authenticated stream of a known rank, in steps that never block: connect,
 * TLS, hello and acknowledgement in both directions, and from there on plain bytes if asked for.
 */
#ifndef DSTRAIN_RUNTIME_HANDSHAKE_H
#define DSTRAIN_RUNTIME_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/sock.h"
#include "runtime/transport/hello.h"
#include "runtime/transport/stream.h"

enum handshake_result {
	HANDSHAKE_GOES_ON,
	HANDSHAKE_DONE,
	HANDSHAKE_BROKEN,  /* the connection failed: trying again may help */
	HANDSHAKE_REFUSED, /* the other side is not who it should be */
};

struct handshake {
	const struct hello *mine;
	struct stream stream;
	struct hello theirs; /* once done */
	char name[SOCK_NAME];
	double deadline;
	bool dials;
	int expected; /* the rank, if it dials */
	bool connected, secure;
	short events; /* what to poll for */

	size_t step, done; /* of the exchange, bytes of the step */
	unsigned char message[HELLO_BYTES];
};

/* `setup` and `mine` are borrowed until the end; the socket is taken over. */
struct handshake *handshake_accept(int fd, struct tls_setup *setup, const struct hello *mine,
				   struct error *err);
struct handshake *handshake_dial(const char *address, uint16_t port, int expected,
				 struct tls_setup *setup, const struct hello *mine,
				 struct error *err);
/* When one of the events came. On HANDSHAKE_DONE the caller takes handshake->stream, and zeroes it
 * with stream_init(&handshake->stream, -1). */
enum handshake_result handshake_step(struct handshake *handshake, struct error *err);
void handshake_free(struct handshake *handshake);

#endif
