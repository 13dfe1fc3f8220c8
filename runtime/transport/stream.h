/* The bytes of one connection, in both directions: through TLS, or plain after an authenticated
 * beginning, or past the connection through memory, where its end is the only thing that counts. */
#ifndef DSTRAIN_RUNTIME_STREAM_H
#define DSTRAIN_RUNTIME_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/transport/pipe.h"

struct error;
struct iovec;
struct pollfd;
struct tls;
struct tls_setup;

struct stream {
	int fd; /* owned */
	struct tls *tls;
	bool plain_in, plain_out;
	uint64_t plain_sent;
	unsigned char *staged; /* written here, not yet by TLS */
	size_t staged_at, staged_end;
	struct pipe_end in, out; /* without memory: not in use */
	uint64_t piped;		 /* bytes sent through memory */
	bool hung_up;		 /* the connection beneath has ended */
};

/* Takes the descriptor over. */
void stream_init(struct stream *stream, int fd);
int stream_begin_tls(struct stream *stream, struct tls_setup *setup, bool dials, struct error *err);
/* From here on without TLS. -1: TLS has read ahead into what should have been plain. */
int stream_plain_in(struct stream *stream, struct error *err);
void stream_plain_out(struct stream *stream); /* only when all is flushed */

/* From here on through memory. -1: something is still on its way through the connection. */
int stream_use_pipes(struct stream *stream, const struct pipe_end *in, const struct pipe_end *out,
		     struct error *err);

/* What to poll for, if all goes well or `blocked` for a full socket or pipe. */
struct pollfd stream_poll(const struct stream *stream, bool blocked);
/* What there is to do, by what poll said: POLLIN, POLLOUT. */
short stream_events(struct stream *stream, short revents, bool blocked);
bool stream_holds_input(const struct stream *stream); /* that no poll tells */

/* As sock_read and sock_write. Bytes count as written once they are staged. */
long stream_read(struct stream *stream, void *bytes, size_t length, struct error *err);
long stream_write(struct stream *stream, const struct iovec *parts, int count, struct error *err);
/* 1: the socket has all that was written; 0: not yet; -1: lost. */
int stream_flush(struct stream *stream, struct error *err);
uint64_t stream_wire_sent(const struct stream *stream);
void stream_end(struct stream *stream); /* no more writing; the peer reads all, and then the end */
void stream_close(struct stream *stream);

#endif
